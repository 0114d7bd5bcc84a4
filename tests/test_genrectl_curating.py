"""`genrectl` for curators: what each command prints, asks and ends with."""

import json
import os
import pty
import signal
import subprocess
from typing import Any

import pytest
from conftest import BIN, ENDING_S, Server, StartServer, run

from worker_client import Genre, GenreRegistryClient, GenreState, TagSet


def genrectl(server: Server, *arguments: str) -> tuple[int, str, str]:
    """Call the server with a command; return exit code, output and errors."""
    done = run("genrectl", *arguments, GENRECTL_TARGET=server.target)
    return done.returncode, done.stdout, done.stderr


def said(server: Server, *arguments: str) -> list[Any]:
    """Return the JSON objects that a command prints, which must go well."""
    code, out, errors = genrectl(server, "--json", *arguments)
    assert (code, errors) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def genrectl_at_a_terminal(server: Server, answer: str, *arguments: str) -> tuple[int, str]:
    """Call the server with a command of somebody who types *answer*; return code and output."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        done = subprocess.run(
            [BIN / "genrectl", "--target", server.target, *arguments],
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return done.returncode, done.stdout


@pytest.fixture
def genres(registry: GenreRegistryClient) -> dict[str, Genre]:
    """Genres that no pack knows: ids from 1 on, in this order."""
    names = ("Zonkwave", "Zonqwave", "Quibble", "1980")
    return {name: registry.get_or_create(name).genre for name in names}


# Which genre is meant


def test_a_genre_is_an_id_or_a_spelling(server: Server, genres: dict[str, Genre]) -> None:
    """Digits are an id, unless they are said to be a name."""
    for given, genre_id in (("2", 2), ("zonqwave", 2), ("name:1980", 4), ("name:Quibble", 3)):
        assert [each["id"] for each in said(server, "show", given)] == [genre_id]
    assert genrectl(server, "show", "1980")[::2] == (
        *(3,),
        "genrectl: No genre has the id 1980.\n",
    )
    for given in ("0", "9" * 30):
        code, _, errors = genrectl(server, "show", given)
        assert code == 2
        assert f"a genre named so is name:{given}" in errors


def test_a_merged_id_stands_for_the_survivor(
    server: Server, registry: GenreRegistryClient, genres: dict[str, Genre]
) -> None:
    """Standard error says so; but nobody deletes the survivor by it."""
    registry.merge_genres([2], 1)

    code, out, errors = genrectl(server, "rename", "2", "Zonk Wave")

    assert (code, out) == (0, "     1  Zonk Wave\n")
    assert errors == "genrectl: 2 was merged into 1, 'Zonkwave'\n"
    assert genrectl(server, "delete", "2")[0] == 4
    assert registry.get_genre(1).state is GenreState.ACTIVE


def test_a_deleted_genre_can_still_be_named(
    server: Server, registry: GenreRegistryClient, genres: dict[str, Genre]
) -> None:
    """Or it could not be brought back by its name."""
    assert genrectl(server, "delete", "quibble")[1] == "     3  Quibble  (deleted)\n"

    assert "     3  Quibble  (deleted)\n" in genrectl(server, "list", "--deleted")[1]
    assert "Quibble" not in genrectl(server, "list")[1]
    assert genrectl(server, "show", "quibble")[0] == 0
    assert genrectl(server, "undelete", "quibble") == (0, "     3  Quibble\n", "")
    assert registry.lookup_genre("quibble").state is GenreState.ACTIVE


# Reading


def test_a_genre_is_shown_whole(
    server: Server, registry: GenreRegistryClient, genres: dict[str, Genre]
) -> None:
    """Parents with their names; for scripts every field."""
    registry.add_alias(1, "ZW")
    shown = registry.update_genre(
        1, description="Like waves.", parent_ids=[3], external_ids={"discogs": "77"}
    )

    lines = genrectl(server, "show", "zonkwave")[1].splitlines()

    assert lines[0] == "     1  Zonkwave"
    assert [line.split(maxsplit=1)[0] for line in lines[1:]] == [
        *("aliases", "kind", "discogs", "description", "created", "changed")
    ]
    assert "kind of      3 Quibble" in lines[2]
    [told] = said(server, "show", "1")
    assert told == {
        "id": 1,
        "name": "Zonkwave",
        "state": "ACTIVE",
        "aliases": ["ZW"],
        "parent_ids": [3],
        "external_ids": {"discogs": "77"},
        "description": "Like waves.",
        "create_time": shown.create_time.isoformat(),
        "update_time": shown.update_time.isoformat(),
        "revision": shown.revision,
        "redirected_from_id": 0,
    }


def test_a_search_is_a_table(
    server: Server, registry: GenreRegistryClient, genres: dict[str, Genre]
) -> None:
    """With the aliases, one of which may be why; finding nothing is no failure."""
    registry.add_alias(3, "Zonkish")

    code, out, errors = genrectl(server, "search", "zonk")

    assert (code, errors) == (0, "")
    assert out.splitlines()[0] == "id  name      aliases"
    assert sorted(out.splitlines()[1:]) == [" 1  Zonkwave", " 3  Quibble   Zonkish"]
    assert [genre["id"] for genre in said(server, "search", "zonkw", "--limit", "1")] == [1]
    assert genrectl(server, "search", "xyzzy") == (
        *(0, ""),
        "genrectl: nothing is like 'xyzzy'\n",
    )


def test_children_are_listed(
    server: Server, registry: GenreRegistryClient, genres: dict[str, Genre]
) -> None:
    """By the parent's id or name."""
    registry.update_genre(2, parent_ids=[1])

    assert genrectl(server, "list", "--parent", "zonkwave") == (0, "     2  Zonqwave\n", "")
    assert [genre["id"] for genre in said(server, "list", "--parent", "1")] == [2]


def test_history_is_the_latest_first(server: Server, genres: dict[str, Genre]) -> None:
    """Of one genre or of all, as many as are asked for."""
    genrectl(server, "rename", "quibble", "Quibble Core")

    _, out, _ = genrectl(server, "history", "3")

    head, renamed, created = out.splitlines()
    assert head.split() == ["revision", "time", "who", "genre", "change"]
    assert "local  3 Quibble Core  updated  name: -'Quibble' +'Quibble Core'" in renamed
    assert created.endswith("created")
    assert [change["revision"] for change in said(server, "history", "--limit", "3")] == [5, 4, 3]
    [latest] = said(server, "history", "--limit", "1")
    assert (latest["type"], latest["who"], latest["genre_id"]) == ("UPDATED", "local", 3)
    assert {"field": "name", "removed": ["Quibble"], "added": ["Quibble Core"]} in (
        latest["differences"]
    )


def test_changes_are_watched(server: Server, genres: dict[str, Genre]) -> None:
    """From a revision on; with --no-follow until there are no more."""
    genrectl(server, "merge", "2", "--into", "1", "--yes")
    genrectl(server, "block", "Nix")

    code, out, _ = genrectl(server, "watch", "--from", "3", "--no-follow")

    assert code == 0
    assert out.splitlines() == [
        "     4  created  4 1980",
        "     5  merged with 2  1 Zonkwave",
        "     6  spelling blocked 'Nix'",
    ]
    changes = said(server, "watch", "--from", "4", "--no-follow")
    assert [(change["revision"], change["type"]) for change in changes] == [
        (5, "MERGED"),
        (6, "SPELLING_BLOCKED"),
    ]
    assert changes[0]["genre"]["aliases"] == ["Zonqwave"]
    assert changes[1]["genre"] is None
    stale = ("watch", "--from", "4", "--incarnation", "of another")
    assert genrectl(server, *stale)[0] == 7


def test_a_watch_outlives_the_server_and_ends_with_ctrl_c(start_server: StartServer) -> None:
    """Each change is printed as it is made; to end it is no failure."""
    first = start_server()
    watching = subprocess.Popen(
        [BIN / "genrectl", "--target", first.target, "watch", "--from", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    with watching:
        try:
            genrectl(first, "get-or-create", "Zonkwave")
            assert watching.stdout.readline() == "     1  created  1 Zonkwave\n"
            first.kill()
            second = start_server(listen=first.target)
            genrectl(second, "get-or-create", "Quibble")
            assert watching.stdout.readline() == "     2  created  2 Quibble\n"
            watching.send_signal(signal.SIGINT)
            assert watching.wait(ENDING_S) == 0
        finally:
            watching.kill()


# Editing


def test_fields_are_set_one_by_one(
    server: Server, registry: GenreRegistryClient, genres: dict[str, Genre]
) -> None:
    """What no option names stays; what is added and taken away is named by itself."""
    genrectl(server, "set", "1", "--parent", "quibble", "--external-id", "discogs=7")
    genrectl(server, "set", "1", "--parent", "2", "--description", "Like waves.")
    genrectl(server, "set", "1", "--no-parent", "3", "--external-id", "lastfm=zonk")

    genre = registry.get_genre(1)

    assert (genre.parent_ids, genre.description) == ((2,), "Like waves.")
    assert genre.external_ids == {"discogs": "7", "lastfm": "zonk"}
    assert said(server, "set", "1", "--no-external-id", "discogs")[0]["external_ids"] == {
        "lastfm": "zonk"
    }
    assert genrectl(server, "set", "2", "--parent", "1")[0] == 4
    assert genrectl(server, "set", "1")[0] == 2
    assert genrectl(server, "set", "1", "--external-id", "lastfm")[0] == 2


def test_curators_at_once_lose_no_change(
    server: Server, registry: GenreRegistryClient, genres: dict[str, Genre]
) -> None:
    """Each adds a parent to what it read; who was overtaken reads again."""
    parents = [registry.get_or_create(f"Zonk {number}").genre.id for number in range(4)]

    setting = [
        subprocess.Popen(
            [BIN / "genrectl", "--target", server.target, "set", "1", "--parent", str(parent)],
            stdout=subprocess.DEVNULL,
        )
        for parent in parents
    ]

    assert [process.wait(ENDING_S) for process in setting] == [0] * len(parents)
    assert registry.get_genre(1).parent_ids == tuple(parents)


def test_spellings_come_and_go(
    server: Server, registry: GenreRegistryClient, genres: dict[str, Genre]
) -> None:
    """Each command says what it did, and refuses with the reason's exit code."""
    steps = (
        (("alias", "add", "1", "ZW"), 0, "     1  Zonkwave  (also ZW)\n"),
        (("alias", "add", "2", "zw"), 4, ""),
        (("alias", "remove", "1", "zw"), 0, "     1  Zonkwave  (no longer zw)\n"),
        (("alias", "remove", "1", "zw"), 3, ""),
        (("block", "Nix"), 0, "blocked  Nix\n"),
        (("get-or-create", "nix"), 4, ""),
        (("block", "Zonkwave"), 4, ""),
        (("unblock", "nix"), 0, "free  nix\n"),
        (("unblock", "nix"), 3, ""),
    )
    for arguments, code, out in steps:
        assert (arguments, *genrectl(server, *arguments)[:2]) == (arguments, code, out)
    assert said(server, "block", "Nix") == [{"spelling": "Nix", "blocked": True, "genre": None}]


# Merging


def test_a_merge_is_shown_before_it_is_made(
    server: Server, registry: GenreRegistryClient, genres: dict[str, Genre]
) -> None:
    """--dry-run says what would change, to people and to scripts, and changes nothing."""
    registry.update_genre(1, external_ids={"discogs": "1"})
    registry.update_genre(2, external_ids={"discogs": "2", "lastfm": "zonq"})
    registry.update_genre(3, parent_ids=[2])
    before = list(registry.list_genres())

    code, out, _ = genrectl(server, "merge", "2", "--into", "1", "--dry-run")

    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["1", "Zonkwave"],
        ["redirected", "2", "Zonqwave"],
        ["aliases", "+Zonqwave"],
        ["lastfm", "+zonq"],
        ["discogs", *["1", "stays;", "2", "of", "2", "is", "hidden"]],
        [*["3", "Quibble", "is", "a", "kind", "of"], "-2", "Zonqwave,", "+1", "Zonkwave"],
    ]
    [told] = said(server, "merge", "2", "--into", "1", "--dry-run")
    assert told["dry_run"] is True
    assert told["redirected_ids"] == [2]
    assert [(each["id"], each["parent_ids"]) for each in told["reparented"]] == [(3, [1])]
    assert told["clashes"] == [{"whose": "discogs", "kept": "1", "hidden": "2", "source_id": 2}]
    assert list(registry.list_genres()) == before


def test_a_merge_asks_and_can_be_undone(
    server: Server, registry: GenreRegistryClient, genres: dict[str, Genre]
) -> None:
    """With no it ends; with yes it is made, and undone by the name that it brought."""
    code, _ = genrectl_at_a_terminal(server, "n\n", "merge", "zonqwave", "3", "--into", "1")
    assert code == 1
    assert registry.get_genre(2).redirected_from_id == 0

    code, out = genrectl_at_a_terminal(server, "y\n", "merge", "zonqwave", "3", "--into", "1")
    assert code == 0
    assert out.endswith("     1  Zonkwave  (merged)\n")
    assert registry.get_genre(2).id == registry.get_genre(3).id == 1

    assert genrectl(server, "unmerge", "ZONQWAVE")[1].splitlines() == [
        "     2  Zonqwave  (a genre again)",
        "     1  Zonkwave  (had survived it)",
    ]
    assert [each["genre"]["id"] for each in [*said(server, "unmerge", "3")]] == [3]
    assert registry.get_genre(2).redirected_from_id == 0
    assert genrectl(server, "unmerge", "3")[0] == 4
    assert genrectl(server, "unmerge", "name:1980")[0] == 3


@pytest.mark.parametrize(
    "arguments", [("merge", "2", "--into", "1"), ("distinguish", "Zonk-wave")], ids=" ".join
)
def test_nothing_is_asked_where_nobody_answers(
    server: Server, genres: dict[str, Genre], arguments: tuple[str, ...]
) -> None:
    """A script says --yes; without it, and without a terminal, the command line is wrong."""
    before = genrectl(server, "history")[1]

    code, out, errors = genrectl(server, *arguments)

    assert (code, out) == (2, "")
    assert "--yes" in errors
    assert genrectl(server, "history")[1] == before
    assert genrectl(server, *arguments, "--yes")[0] == 0


def test_to_merge_what_is_merged_changes_nothing(
    server: Server, registry: GenreRegistryClient, genres: dict[str, Genre]
) -> None:
    """A script may be run twice."""
    registry.merge_genres([2], 1)
    revision = registry.list_page().revision

    code, out, _ = genrectl(server, "merge", "zonqwave", "--into", "1", "--yes")

    assert code == 0
    assert out.splitlines()[1:] == ["        is what they answer with already: nothing changes"]
    assert registry.list_page().revision == revision


def test_a_spelling_is_pinned_apart(
    server: Server, registry: GenreRegistryClient, genres: dict[str, Genre]
) -> None:
    """A genre of its own, or another's; look-alikes stay where they were."""
    registry.update_genre(1, name="Zonk Wave")

    assert genrectl(server, "distinguish", "Zonk-Wave", "--yes")[1] == (
        "     5  Zonk-Wave  (created)\n"
    )
    assert genrectl(server, "distinguish", "Zonk_Wave", "--as", "quibble", "--yes")[1] == (
        "     3  Quibble  (known)\n"
    )
    assert [registry.lookup_genre(f"zonk{c}wave").id for c in " -_"] == [1, 5, 3]


# Reviews


def test_compounds_are_settled(
    server: Server, registry: GenreRegistryClient, genres: dict[str, Genre]
) -> None:
    """Listed while they wait, and decided by one option."""
    registry.resolve_tags([TagSet(("Rock/Zonk A",)), TagSet(("Rock/Zonk B",))])
    waiting = genrectl(server, "reviews")[1].splitlines()
    assert waiting[0].split() == ["seen", "compound", "rule", "reaches", "decided"]
    assert sorted(line.split("'")[1] for line in waiting[1:]) == ["Rock/Zonk A", "Rock/Zonk B"]

    code, out, _ = genrectl(
        *(server, "settle", "Rock/Zonk A", "--expand-into", "Quibble"),
        *("--expand-into", "zonkwave"),
    )
    assert code == 0
    assert out.splitlines() == [
        "'Rock/Zonk A': expand: Quibble, zonkwave",
        "     3  Quibble",
        "     1  Zonkwave",
    ]
    [told] = said(server, "settle", "Rock/Zonk B", "--alias-of", "zonkwave")
    assert told["review"]["decision"] == "ALIAS"
    assert [genre["id"] for genre in told["genres"]] == [1]
    assert genrectl(server, "reviews") == (0, "No compound waits for a decision.\n", "")
    assert {each["decision"] for each in said(server, "reviews", "--settled")} == {
        *("EXPAND", "ALIAS")
    }
    assert genrectl(server, "settle", "Rock/Zonk B", "--keep", "--drop")[0] == 2


# The shell


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_printed(shell: str) -> None:
    """It asks genrectl itself, so that it never is out of date."""
    done = run("genrectl", "completion", shell)

    assert done.returncode == 0
    assert "_GENRECTL_COMPLETE" in done.stdout


def test_names_of_genres_are_completed(server: Server, genres: dict[str, Genre]) -> None:
    """As a shell would take them; nothing, and no error, if the registry is away."""
    genrectl(server, "get-or-create", "Zonk A")

    def completed(words: str, target: str = server.target) -> list[str]:
        done = run(
            "genrectl",
            _GENRECTL_COMPLETE="bash_complete",
            COMP_WORDS=words,
            COMP_CWORD=str(len(words.split()) - 1),
            GENRECTL_TARGET=target,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    assert sorted(completed("genrectl show zonk")) == [r"Zonk\ A", "Zonkwave"]
    assert completed("genrectl merge 1 --into quib") == ["Quibble"]
    assert completed("genrectl unm") == ["unmerge"]
    assert completed("genrectl show zonk", "127.0.0.1:1") == []


def test_every_exit_code_is_explained() -> None:
    """Where a writer of scripts looks first."""
    told = run("genrectl", "--help").stdout

    for code in range(8):
        assert f"\n    {code}  " in told
    assert "name:1980" in told

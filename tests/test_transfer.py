"""`genrectl export` and `import`: what goes out comes back, and what others have comes in."""

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from conftest import Server, StartServer, run

from worker_client import GenreRegistryClient

NOBODY = "127.0.0.1:1"


def genrectl(target: str, *arguments: str | Path) -> tuple[int, str, str]:
    """Call the registry at *target* with a command; return exit code, output and errors."""
    done = run("genrectl", "--deadline-s", "30", *arguments, GENRECTL_TARGET=target)
    return done.returncode, done.stdout, done.stderr


def imported(target: str, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """Import, and return what it came to."""
    ended, out, errors = genrectl(target, "--json", "import", *arguments)
    assert (ended, errors) == (code, "")
    document: dict[str, Any] = json.loads(out)
    return document


def names(registry: GenreRegistryClient) -> dict[int, str]:
    return {genre.id: genre.name for genre in registry.list_genres()}


def text_file(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """The database of an application that holds what its users typed."""
    path = tmp_path / "app.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE genres (id INTEGER PRIMARY KEY, name TEXT)")
    database.executemany(
        "INSERT INTO genres VALUES (?, ?)",
        [(3, "Zzhop"), (7, "zz hop"), (9, "ZZHOP"), (12, "Zzone/Zztwo"), (20, "")],
    )
    database.commit()
    database.close()
    return path


# Without a registry


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "bad.jsonl",
            '{"genre": {"name": "Rock"}}\n{"genre"\n',
            "bad.jsonl, line 2: It is no JSON",
        ),
        ("bad.jsonl", '{"genre": {"nmae": "Rock"}}\n', "line 1: record.genre.nmae: there is no"),
        ("bad.csv", "id,name\nx,Rock\n", "bad.csv, line 2: The column id holds 'x'"),
        ("none.txt", "# nothing\n", "none.txt: It holds nothing to import; it was read as list."),
        ("bad.db", "hello", "bad.db: It is no SQLite database."),
    ],
)
def test_a_wrong_file_is_refused_before_anything_is_sent(
    tmp_path: Path, name: str, content: str, sentence: str
) -> None:
    """With the line, in one sentence, and an exit code of its own."""
    path = text_file(tmp_path / name, content)

    code, out, errors = genrectl(NOBODY, "import", path)

    assert (code, out) == (8, "")
    assert sentence in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("yaml", "x.txt"), "'yaml' is no format; FORMAT is one of auto, jsonl, csv, list"),
        (("x.txt", "--table", "genres"), "--table is for sqlite, and this file is list."),
        (("x.txt", "--name-column", "n"), "are for csv and sqlite, and this file is list."),
        (("x.txt", "--keep-ids"), "--keep-ids wants ids, and none are read from this list."),
    ],
)
def test_options_that_mean_nothing_are_refused(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    """Rather than passed over."""
    text_file(tmp_path / "x.txt", "Rock\n")
    given = [tmp_path / word if word == "x.txt" else word for word in arguments]

    code, _, errors = genrectl(NOBODY, "import", *given)

    assert code == 2
    assert sentence in errors


def test_a_missing_file_is_named() -> None:
    """Without a traceback."""
    assert genrectl(NOBODY, "import", "nowhere.txt") == (
        8,
        "",
        "genrectl: nowhere.txt: No such file or directory\n",
    )


def test_what_was_exported_before_stays_until_there_is_better(tmp_path: Path) -> None:
    """A failed export leaves the file that was there, and nothing beside it."""
    path = text_file(tmp_path / "registry.jsonl", "yesterday's")

    done = run(
        "genrectl", "--target", NOBODY, "--deadline-s", "0.3", "export", "--output", str(path)
    )

    assert done.returncode == 5
    assert path.read_text() == "yesterday's"
    assert list(tmp_path.iterdir()) == [path]


# There and back


def curated(target: str) -> None:
    """Make a registry that has something of everything."""
    with GenreRegistryClient(target) as registry:
        for name in ("Drum & Bass", "dnb", "Zzone", "zz one!", "Zzold", "Zz=1+1", "Zzchild"):
            registry.get_or_create(name)
    for arguments in (
        ("resolve", "Zzthis/Zzthat; Zzfirst, Zzsecond"),
        ("alias", "add", "--", "Zzone", '-Zzeins; "zwei"'),
        ("merge", "zz one!", "--into", "Zzone", "--yes"),
        ("rename", "Zzchild", "Zz Kid"),
        ("set", "Zz Kid", "--parent", "Zzone", "--description", '=words\n"of"; a curator'),
        ("delete", "Zzold"),
        ("block", "Zznoise"),
        ("settle", "Zzthis/Zzthat", "--keep"),
    ):
        code, _, errors = genrectl(target, *arguments)
        assert code == 0, (arguments, errors)


def exported(target: str, path: Path) -> list[dict[str, Any]]:
    """Return the records of an export, but for what is new with every export and registry."""
    code, out, errors = genrectl(target, "export", "--format", "jsonl", "--output", path)
    assert (code, errors) == (0, "")
    assert out.startswith(f"{path}: ")
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    del records[0]["registry"]["export_time"], records[0]["registry"]["incarnation"]
    return records


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_an_export_makes_an_empty_registry_the_same(
    start_server: StartServer, tmp_path: Path, ending: str
) -> None:
    """Ids, merges, blocks, decisions and the journal: all that is exported is again exported."""
    old, new = start_server(), start_server(database=tmp_path / "new.db")
    curated(old.target)
    path = tmp_path / f"registry.{ending}"
    assert genrectl(old.target, "export", "--output", path)[0] == 0

    document = imported(new.target, path)

    before = exported(old.target, tmp_path / "old.jsonl")
    assert exported(new.target, tmp_path / "new.jsonl") == before
    kinds = {kind for record in before for kind in record}
    assert kinds >= {"registry", "genre", "block", "review", "change"}
    assert document["problems"] == []
    assert document["created"] == sum("genre" in record for record in before)


def test_an_export_goes_through_a_pipe(server: Server, registry: GenreRegistryClient) -> None:
    """Nothing but records on standard output."""
    registry.get_or_create("Zzpipe")

    code, out, errors = genrectl(server.target, "export")

    assert (code, errors) == (0, "")
    assert [next(iter(json.loads(line))) for line in out.splitlines()][:2] == ["registry", "genre"]


# From elsewhere


def test_a_list_comes_in_once(
    server: Server, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """To import again changes nothing, and a dry run says what would be."""
    registry.get_or_create("Zzone")
    path = text_file(tmp_path / "genres.txt", "# mine\nzzone\nZztwo\nZz Two\nZzthree\n")

    rehearsed = imported(server.target, path, "--dry-run")
    after_rehearsal = names(registry)
    first = imported(server.target, path)
    after_import = list(registry.list_genres())
    second = imported(server.target, path)

    assert after_rehearsal == {1: "Zzone"}
    assert (rehearsed["created"], rehearsed["unchanged"], rehearsed["dry_run"]) == (3, 1, True)
    assert (first["created"], first["changed"], first["unchanged"]) == (3, 0, 1)
    assert (second["created"], second["changed"], second["unchanged"]) == (0, 0, 4)
    assert [genre.name for genre in after_import] == ["Zzone", "Zztwo", "Zz Two", "Zzthree"]
    assert list(registry.list_genres()) == after_import


def test_a_tree_brings_parents(
    server: Server, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """By name, whether they are there already or not."""
    registry.get_or_create("Zzchild")
    path = text_file(tmp_path / "tree.yaml", "- zzroot:\n    - zzchild:\n        - zzleaf\n")

    document = imported(server.target, path)

    root, child, leaf = map(registry.lookup_genre, ("zzroot", "zzchild", "zzleaf"))
    assert (child.id, child.parent_ids, leaf.parent_ids) == (1, (root.id,), (child.id,))
    assert (document["created"], document["changed"]) == (2, 1)


def test_an_application_moves_over_with_a_map(
    server: Server, registry: GenreRegistryClient, application: Path, tmp_path: Path
) -> None:
    """Every old id leads somewhere; what has no name is told, and the rest goes in."""
    before = application.read_bytes()
    registry.get_or_create("Zzthere")

    code, out, _ = genrectl(
        *(server.target, "import", "sqlite", application, "--table", "genres"),
        *("--name-column", "name", "--map", tmp_path / "map.csv"),
    )

    with (tmp_path / "map.csv").open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert code == 1
    assert head == ["old_id", "new_id", "name"]
    assert [row[0] for row in rows] == ["3", "7", "9", "12"]
    assert all(registry.get_genre(int(new_id)).name == name for _, new_id, name in rows)
    assert rows[0][1] == rows[2][1]
    assert "NAME_EMPTY" in out
    assert "'Zzone/Zztwo'" in out
    assert "1  compound left whole, and may be several genres:" in out
    assert registry.lookup_genre("Zzone/Zztwo").id == int(rows[3][1])
    assert application.read_bytes() == before


def test_an_application_keeps_its_ids(
    server: Server, registry: GenreRegistryClient, application: Path
) -> None:
    """Into an empty registry: every old id answers; the oldest of several is the genre."""
    document = imported(server.target, application, "--keep-ids", code=1)

    assert {problem["reason"] for problem in document["problems"]} == {"NAME_EMPTY", "COMPOUND"}
    assert {problem["line"] for problem in document["problems"]} == {4, 5}
    assert names(registry)[3] == "Zzhop"
    assert names(registry)[12] == "Zzone/Zztwo"
    merged = registry.get_genre(9)
    assert (merged.id, merged.redirected_from_id) == (3, 9)
    assert registry.get_or_create("Zznext").genre.id > 12


def test_ids_are_kept_in_an_empty_registry_only(
    server: Server, registry: GenreRegistryClient, application: Path, tmp_path: Path
) -> None:
    """Else they would be others' already; no map is left of an import that was refused."""
    registry.get_or_create("Zzthere")

    code, out, errors = genrectl(
        server.target, "import", application, "--keep-ids", "--map", tmp_path / "map.csv"
    )

    assert (code, out) == (4, "")
    assert errors.startswith("genrectl: ")
    assert names(registry) == {1: "Zzthere"}
    assert not list(tmp_path.glob("map.csv*"))


def test_ids_and_names_come_from_any_table(
    server: Server, registry: GenreRegistryClient, tmp_path: Path
) -> None:
    """As a spreadsheet writes it."""
    path = text_file(tmp_path / "genres.csv", "Genre;Nr\nZzone;5\nZztwo;6\n")

    document = imported(server.target, "csv", path, "--id-column", "nr")

    assert document["created"] == 2
    assert names(registry) == {1: "Zzone", 2: "Zztwo"}

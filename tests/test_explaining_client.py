"""What the client tells of the registry's knowledge: reasons, rehearsals, newer packs."""

import json
import pickle
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import Server, run

from worker_client import (
    AsyncGenreRegistryClient,
    Genre,
    GenreRegistryClient,
    InvalidName,
    InvalidRequest,
    ResolvedTags,
    ReviewPart,
    TagContainer,
    TagSet,
)


def genrectl(server: Server, *arguments: str) -> tuple[int, str, str]:
    """Call the server with a command; return exit code, output and errors."""
    done = run("genrectl", *arguments, GENRECTL_TARGET=server.target)
    return done.returncode, done.stdout, done.stderr


def pages_of(*names: str, page_size: int = 2) -> list[bytes]:
    """Return what MusicBrainz's web service would answer if these were all genres."""
    genres = [{"id": musicbrainz_id(name), "name": name, "disambiguation": ""} for name in names]
    return [
        json.dumps(
            {
                "genre-count": len(genres),
                "genre-offset": offset,
                "genres": genres[offset : offset + page_size],
            }
        ).encode()
        for offset in range(0, len(genres), page_size)
    ]


def musicbrainz_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


# Genres


def test_a_genre_carries_what_a_pack_knows_of_it(registry: GenreRegistryClient) -> None:
    """Its MusicBrainz id, and its parents once they are there."""
    rock = registry.get_or_create("Rock").genre
    punk = registry.get_or_create("Punk Rock").genre

    assert uuid.UUID(rock.external_ids["musicbrainz"])
    assert registry.get_genre(punk.id).parent_ids == (rock.id,)


def test_a_mere_synonym_is_an_alias(registry: GenreRegistryClient) -> None:
    """The pack's preferred name is the genre's; what a tag said reaches it."""
    genre = registry.get_or_create("dnb").genre

    assert genre.name.casefold() in ("drum and bass", "drum & bass")
    assert "dnb" in [alias.casefold() for alias in genre.aliases]


def test_a_genre_is_a_value(registry: GenreRegistryClient) -> None:
    """It can be kept in a set and go to another process."""
    genre = registry.get_or_create("Rock").genre

    assert {genre, registry.get_genre(genre.id)} == {genre}
    assert pickle.loads(pickle.dumps(genre)) == genre


def test_a_genre_can_be_made_without_what_came_later() -> None:
    """Code that builds genres for its own tests goes on."""
    now = datetime.now(UTC)
    genre = Genre(1, "Dub", now, now, 1)

    assert (genre.aliases, genre.parent_ids, dict(genre.external_ids)) == ((), (), {})


# Rehearsals


def test_a_rehearsal_writes_nothing(registry: GenreRegistryClient) -> None:
    """What would be created has the id 0; what is there has its own."""
    rock = registry.get_or_create("Rock").genre
    before = registry.list_page()

    [resolved] = registry.resolve_tags([TagSet(("Rock; Zeuhlwave",))], validate_only=True)

    assert [(each.genre.id, each.genre.name) for each in resolved.genres] == [
        (rock.id, "Rock"),
        (0, "Zeuhlwave"),
    ]
    assert registry.list_page() == before


def test_a_key_stands_for_a_genre_that_is_not_there(registry: GenreRegistryClient) -> None:
    """All spellings share it, in every call, and the genre keeps it once it is there."""
    spellings = ("Zeuhl-Wave", "zeuhl wave", "ZEUHL_WAVE")
    asked = [TagSet((spelling,)) for spelling in spellings]
    rehearsed = [
        *registry.resolve_tags(asked, validate_only=True),
        *registry.resolve_tags(asked[1:], validate_only=True),
    ]
    done = registry.resolve_tags(asked)

    keys = {each.key for tags in (*rehearsed, *done) for each in tags.genres}
    assert len(keys) == 1
    assert keys != {""}
    [other] = registry.resolve_tags([TagSet(("Rock",))], validate_only=True)
    assert other.genres[0].key not in keys


def test_the_pack_that_knows_a_genre_is_named(registry: GenreRegistryClient) -> None:
    """None knows what only a tagger made up."""
    [resolved] = registry.resolve_tags([TagSet(("Rock; Zeuhlwave",))])

    rock, made_up = resolved.genres
    assert rock.pack
    assert made_up.pack == ""


def test_a_compound_that_cannot_be_decided_is_told(registry: GenreRegistryClient) -> None:
    """It is a genre as a whole, and waits for a curator."""
    [resolved] = registry.resolve_tags([TagSet(("Rock/Zeuhlwave",))])

    assert [each.genre.name for each in resolved.genres] == ["Rock/Zeuhlwave"]
    assert resolved.review == (ReviewPart("Rock/Zeuhlwave", "R7"),)


def test_resolving_by_hand_can_be_rehearsed(server: Server, registry: GenreRegistryClient) -> None:
    """Genres with what would become of them, and compounds in a sentence."""
    registry.get_or_create("Rock")

    code, out, errors = genrectl(server, "resolve", "--dry-run", "Rock; Rock/Zeuhlwave; Zeuhlwave")

    assert code == 0
    assert out.splitlines() == [
        "     1  Rock  (known)  from 'Rock' by R4",
        "   new  Rock/Zeuhlwave  (would be created)  from 'Rock/Zeuhlwave' by R7",
        "   new  Zeuhlwave  (would be created)  from 'Zeuhlwave' by R4",
    ]
    assert errors == "left whole, wants review: 'Rock/Zeuhlwave' (R7)\n"
    assert [genre.name for genre in registry.list_genres()] == ["Rock"]


# Reasons


def test_every_step_is_explained(registry: GenreRegistryClient) -> None:
    """From the raw value, by a rule, to parts; from each part, by its key, to its genre."""
    rap = registry.get_or_create("Hip-Hop").genre

    steps = registry.explain_spelling("Hip-Hop/R&B")

    [slash] = [step for step in steps if step.rule == "R7"]
    assert slash.text == "Hip-Hop/R&B"
    assert slash.parts == ("Hip-Hop", "R&B")
    assert slash.packs
    assert slash.note
    identities = [step for step in steps if step.rule == "IDENTITY"]
    assert [(step.text, step.genre and step.genre.id) for step in identities] == [
        ("Hip-Hop", rap.id),
        ("R&B", 0),
    ]
    assert all(step.key for step in identities)
    assert all(step.genre is None for step in steps if step not in identities)
    assert [genre.name for genre in registry.list_genres()] == [rap.name]


def test_the_container_decides(registry: GenreRegistryClient) -> None:
    """A number is a genre in an ID3 tag, and a text elsewhere."""

    def named(container: TagContainer) -> list[str]:
        steps = registry.explain_spelling("17", container)
        return [step.genre.name for step in steps if step.genre]

    assert named(TagContainer.ID3V23) == ["Rock"]
    assert named(TagContainer.VORBIS) == named(TagContainer.UNSPECIFIED) == ["17"]


@pytest.mark.parametrize("value", ["", "Unknown", "x" * 300, "\0\0", "---"])
def test_what_names_nothing_is_explained_too(registry: GenreRegistryClient, value: str) -> None:
    """No value is refused."""
    assert all(step.genre is None for step in registry.explain_spelling(value))


def test_half_of_a_character_is_refused_before_it_is_sent(registry: GenreRegistryClient) -> None:
    """The wire can't carry it."""
    with pytest.raises(InvalidName) as caught:
        registry.explain_spelling("Ro\ud83cck")
    assert (caught.value.reason, caught.value.field) == ("TEXT_NOT_UTF8", "value")


def test_explaining_by_hand(server: Server) -> None:
    """Steps in columns, then the genres with their ids."""
    genrectl(server, "get-or-create", "Rock")

    code, out, _ = genrectl(server, "explain", "Rock; Zeuhlwave")

    assert code == 0
    steps, _, genres = out.partition("\n\n")
    assert steps.startswith("rule ")
    assert "R4" in steps
    assert "IDENTITY" in steps
    assert genres.splitlines() == ["     1  Rock", "   new  Zeuhlwave  (would be created)"]
    assert genrectl(server, "explain", "Unknown")[1].endswith("\n\nIt names no genre.\n")
    assert genrectl(server, "explain", "")[1].endswith("\n\nIt names no genre.\n")


def test_explaining_in_scripts(server: Server) -> None:
    """One JSON object a step."""
    code, out, _ = genrectl(server, "--json", "explain", "17", "--container", "id3v23")

    assert code == 0
    steps = [json.loads(line) for line in out.splitlines()]
    assert all(
        step.keys() == {"rule", "text", "parts", "note", "key", "packs", "genre"} for step in steps
    )
    assert steps[-1]["genre"] == {"id": 0, "name": "Rock"}


# Newer packs


def test_a_newer_pack_is_known_at_once(registry: GenreRegistryClient) -> None:
    """What it names splits, and the genre that is there already gains its id."""
    made_up = registry.get_or_create("Zeuhlwave").genre
    assert made_up.external_ids == {}

    taken = registry.import_pack("musicbrainz", pages_of("rock", "zeuhlwave", "zouk"))

    assert (taken.genres, taken.skipped, taken.changed) == (3, (), 1)
    assert taken.version
    gained = registry.get_genre(made_up.id)
    assert gained.name == "Zeuhlwave"
    assert gained.external_ids == {"musicbrainz": musicbrainz_id("zeuhlwave")}
    assert gained.revision == taken.revision
    [split] = registry.resolve_tags([TagSet(("Rock/Zeuhlwave",))])
    assert [each.genre.name for each in split.genres] == ["Rock", "Zeuhlwave"]


def test_pages_come_in_any_order_and_twice(registry: GenreRegistryClient) -> None:
    """To repeat an import is safe; the second changes nothing."""
    pages = pages_of("rock", "zeuhlwave", "zouk")

    first = registry.import_pack("musicbrainz", reversed(pages))
    again = registry.import_pack("musicbrainz", pages)

    assert (first.genres, again.genres, again.changed) == (3, 3, 0)


def test_a_pack_that_cannot_be_taken_is_refused(registry: GenreRegistryClient) -> None:
    """An unknown one, what is no pack, and one with a page missing; nothing changes."""
    for pack, documents, reason in (
        ("no such pack", pages_of("rock"), "PACK_UNKNOWN"),
        ("musicbrainz", [b"words"], "PACK_INVALID"),
        ("musicbrainz", [], "PACK_INVALID"),
        ("musicbrainz", pages_of("rock", "zeuhlwave", "zouk")[1:], "PACK_INVALID"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            registry.import_pack(pack, documents)
        assert caught.value.reason == reason
    [resolved] = registry.resolve_tags([TagSet(("Rock/Zeuhlwave",))], validate_only=True)
    assert resolved.review


def test_importing_by_hand(server: Server, tmp_path: Path) -> None:
    """The files as the web service gave them; a name that can be none is said."""
    genrectl(server, "get-or-create", "Zeuhlwave")
    files = []
    for number, page in enumerate(pages_of("rock", "zeuhlwave", "---")):
        files.append(str(tmp_path / f"page {number}.json"))
        Path(files[-1]).write_bytes(page)

    code, out, errors = genrectl(server, "import-pack", "musicbrainz", *files)

    assert code == 0
    assert out.startswith("musicbrainz ")
    assert out.endswith(": 2 genres; 1 genres of the registry changed\n")
    assert errors == "left out, as it can be no genre's name: '---'\n"
    code, out, _ = genrectl(server, "--json", "import-pack", "musicbrainz", *files)
    told = json.loads(out)
    assert code == 0
    assert told["pack"] == "musicbrainz"
    assert (told["genres"], told["skipped"], told["changed"]) == (2, ["---"], 0)


def test_a_file_that_cannot_be_imported_is_said(server: Server, tmp_path: Path) -> None:
    """A missing one is the command line's mistake, a wrong one the registry refuses."""
    missing = str(tmp_path / "missing.json")
    (tmp_path / "words.json").write_text("words")

    code, _, errors = genrectl(server, "import-pack", "musicbrainz", missing)
    assert code == 2
    assert f"{missing!r}: No such file or directory" in errors
    code, _, errors = genrectl(server, "import-pack", "musicbrainz", str(tmp_path / "words.json"))
    assert code == 4
    assert errors.startswith("genrectl: ")


# Asyncio


async def test_the_asyncio_client_tells_the_same(server: Server) -> None:
    """Rehearsals, reasons and packs, over both services on one channel."""
    asked = [TagSet(("Rock/Zeuhlwave; Unknown",))]
    with GenreRegistryClient(server.target) as plain:
        async with AsyncGenreRegistryClient(server.target) as registry:
            rehearsed: list[ResolvedTags] = await registry.resolve_tags(asked, validate_only=True)
            assert rehearsed == plain.resolve_tags(asked, validate_only=True)
            assert await registry.explain_spelling("17", TagContainer.ID3V1) == (
                plain.explain_spelling("17", TagContainer.ID3V1)
            )
            taken = await registry.import_pack("musicbrainz", pages_of("rock", "zouk"))
            assert taken.genres == 2
            with pytest.raises(InvalidRequest):
                await registry.import_pack("no such pack", [])

"""A database file is brought to this version whole or not at all, and no other file is touched."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from registry_server.store import migrations, schema
from registry_server.store.engines import reading_engine, writing_engine
from registry_server.store.failures import (
    DatabaseFailed,
    DatabaseForeign,
    DatabaseNewer,
    DatabaseUnusable,
)
from registry_server.store.granting import grant
from registry_server.store.owning import close_writer, open_writer
from registry_server.vocabulary.genre import Claim
from registry_server.vocabulary.identity import KEY_VERSION, UNICODE_VERSION, Spelling

TABLES = {
    *("alembic_version", "change", "external_id", "genre", "pack", "parent"),
    *("registry", "review", "spelling", "tombstone"),
}
INDEX = {"search", "search_config", "search_content", "search_data", "search_docsize", "search_idx"}
"""The index to search by, which SQLite keeps in tables of its own."""


@contextmanager
def opened(path: Path) -> Iterator[tuple[Connection, list[str]]]:
    """Open the file as its server does; give the writing connection and what was done."""
    writer, done = open_writer(path)
    try:
        yield writer, done
    finally:
        close_writer(writer)


def create(path: Path, *names: str) -> None:
    """Make *names* genres, with ids from 1."""
    with opened(path) as (writer, _), writer.begin():
        grant(writer, [Claim(Spelling.of(name), "") for name in names])


def ask(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """Run *statements* past the registry, in one transaction; return the rows of the last."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


def tables_of(path: Path) -> set[object]:
    return {name for (name,) in ask(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")}


def reached_by(path: Path) -> dict[object, object]:
    """Return the id of the genre that each key reaches."""
    return dict(ask(path, "SELECT lookup_key, genre_id FROM spelling"))  # type: ignore[arg-type]


def test_a_missing_file_is_made_with_the_whole_schema(database: Path) -> None:
    """The first start leaves a registry, marked as ours, with every column typed."""
    with opened(database) as (_, done):
        assert [line.partition(":")[0] for line in done] == [
            "migration 0001",
            "migration 0002",
            "migration 0003",
        ]

    assert tables_of(database) == TABLES | INDEX
    assert ask(database, "PRAGMA application_id") == [(schema.APPLICATION_ID,)]
    strict = ask(database, "SELECT name FROM pragma_table_list WHERE strict AND schema = 'main'")
    assert {name for (name,) in strict} == TABLES - {"alembic_version"}
    [(revision, ids, key_version, unicode_version)] = ask(
        database, "SELECT revision, genre_id_last, key_version, unicode_version FROM registry"
    )
    assert (revision, ids) == (0, 0)
    assert (key_version, unicode_version) == (KEY_VERSION, UNICODE_VERSION)


def test_an_empty_file_is_filled(database: Path) -> None:
    """A file that was only reserved is nobody's."""
    database.touch()
    create(database, "Dub")

    assert tables_of(database) == TABLES | INDEX


def test_every_registry_has_an_incarnation_of_its_own(tmp_path: Path) -> None:
    """Revisions of two registries are never compared by mistake."""
    paths = [tmp_path / "one.db", tmp_path / "two.db"]
    for path in paths:
        create(path)

    assert len({str(ask(path, "SELECT incarnation FROM registry")) for path in paths}) == 2


def test_the_migrations_lead_to_the_schema_that_the_queries_use(database: Path) -> None:
    """Head, tables, columns, keys and types are the same, whichever is asked."""
    script = str(Path(migrations.__path__[0]))
    config = Config()
    config.set_main_option("script_location", script.replace("%", "%%"))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.HEAD]

    with opened(database) as (writer, _), writer.begin():
        context = MigrationContext.configure(writer, opts={"compare_type": True})
        differences = compare_metadata(context, schema.metadata)

    # The index to search by is SQLite's own affair, beside the schema.
    others = [each for each in differences if not getattr(each[1], "name", "").startswith("search")]
    assert others == []


def test_migrating_again_does_nothing(database: Path) -> None:
    """A second start changes no byte."""
    create(database, "Dub")
    before = database.read_bytes()

    with opened(database) as (_, done):
        assert done == []

    assert database.read_bytes() == before


def test_a_step_that_fails_half_way_leaves_nothing(database: Path) -> None:
    """Tables and the record of them come together; what was there stays, and is named."""
    ask(
        database,
        f"PRAGMA application_id = {schema.APPLICATION_ID}",
        "CREATE TABLE spelling (mine TEXT)",
    )

    with pytest.raises(DatabaseFailed, match="table spelling already exists") as failed:
        open_writer(database)

    assert failed.value.exit_code == 74
    assert str(database) in str(failed.value)
    assert tables_of(database) == {"spelling"}


@pytest.mark.parametrize("mode", ["DELETE", "WAL"], ids=["rollback journal", "write-ahead log"])
def test_another_applications_database_is_left_as_it_is(database: Path, mode: str) -> None:
    """A path given by mistake costs nobody their data, nor a byte of it."""
    ask(database, f"PRAGMA journal_mode = {mode}")
    ask(database, "CREATE TABLE genres (name TEXT)", "INSERT INTO genres VALUES ('Dub')")
    before = database.read_bytes()

    with pytest.raises(DatabaseForeign) as refused:
        open_writer(database)

    assert refused.value.exit_code == 65
    assert str(database) in str(refused.value)
    assert database.read_bytes() == before
    assert list(database.parent.iterdir()) == [database]


@pytest.mark.parametrize("text", ["Dub\n", "Dear diary,\n" * 1000], ids=["short", "long"])
def test_a_file_that_is_no_database_is_left_as_it_is(database: Path, text: str) -> None:
    """So with any other file."""
    database.write_text(text)

    with pytest.raises(DatabaseForeign) as refused:
        open_writer(database)

    assert refused.value.exit_code == 65
    assert database.read_text() == text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE alembic_version SET version_num = '9999'", "migration 9999"),
        ("UPDATE registry SET key_version = 99", "keys of version 99"),
        ("UPDATE registry SET unicode_version = '99.0.0'", "Unicode 99.0.0"),
    ],
)
def test_a_newer_database_is_left_as_it_is(database: Path, change: str, named: str) -> None:
    """An older server refuses what it may not understand, and says what it found."""
    create(database, "Dub")
    ask(database, change)
    before = database.read_bytes()

    with pytest.raises(DatabaseNewer, match=named) as refused:
        open_writer(database)

    assert refused.value.exit_code == 76
    assert database.read_bytes() == before


@pytest.mark.parametrize(
    "older",
    ["UPDATE registry SET unicode_version = '9.0.0'", "UPDATE registry SET key_version = 0"],
)
def test_keys_of_older_rules_are_computed_anew(database: Path, older: str) -> None:
    """Every spelling is found by the keys of today, and the operator is told."""
    create(database, "Électro", "Dub")
    ask(
        database,
        older,
        "UPDATE spelling SET lookup_key = 'ÉLECTRO', strict_key = 'ÉLECTRO' WHERE genre_id = 1",
    )

    with opened(database) as (_, done):
        backup, line = done
        assert backup.startswith("backup before the migration: ")
        assert line.startswith("keys: from version")
        assert line.endswith(f"to {KEY_VERSION} on {UNICODE_VERSION}")

    assert reached_by(database) == {"électro": 1, "dub": 2}
    assert ask(database, "SELECT strict_key FROM spelling WHERE genre_id = 1") == [("électro",)]
    assert ask(database, "SELECT key_version, unicode_version FROM registry") == [
        (KEY_VERSION, UNICODE_VERSION)
    ]
    with opened(database) as (_, done):
        assert done == []


def test_what_curators_decided_is_found_by_keys_of_today(database: Path) -> None:
    """Reviews and removed spellings have keys too; of two that become one, the first counts."""
    create(database, "Dub")
    ask(
        database,
        "UPDATE registry SET key_version = 0",
        "INSERT INTO review VALUES ('ROCK/ALTROCK', 'Rock/AltRock', 'R7', 'x', 1, 5, 'keep', '[]')",
        "INSERT INTO review VALUES ('rock/altrock', 'rock/altrock', 'R7', 'x', 2, 1, '', '[]')",
        "INSERT INTO tombstone VALUES ('detached', 0, 'DNB'), ('parent', 1, '1')",
    )

    with opened(database):
        pass

    assert ask(database, "SELECT lookup_key, times_seen, decision FROM review") == [
        ("rock/altrock", 5, "keep")
    ]
    assert ask(database, "SELECT kind, genre_id, value FROM tombstone ORDER BY kind") == [
        ("detached", 0, "dnb"),
        ("parent", 1, "1"),
    ]


def age(path: Path, *keys: tuple[int, str, str]) -> None:
    """Give genres the key and the text that older rules had let them have."""
    ask(
        path,
        "UPDATE registry SET key_version = 0",
        "UPDATE spelling SET lookup_key = 'old ' || genre_id",
        *(
            f"UPDATE spelling SET lookup_key = '{key}', text = '{text}' WHERE genre_id = {genre_id}"
            for genre_id, key, text in keys
        ),
    )


@pytest.mark.parametrize(
    "texts",
    [
        ["hip-hop", "hip_hop"],
        ["hip-hop", "hip hop"],
        ["hip hop", "hip-hop"],
        ["Hip Hop", "hip hop"],
        ["Hip-Hop", "hip-hop", "HIP-HOP"],
    ],
    ids=" and ".join,
)
def test_genres_whose_keys_become_one_stay_apart(database: Path, texts: list[str]) -> None:
    """No migration merges genres: the oldest is reached, the younger kept apart and reported."""
    create(database, *(f"Genre {at}" for at in range(len(texts))))
    age(database, *((at, text, text) for at, text in enumerate(texts, 1)))

    with opened(database) as (_, done):
        told = [line for line in done if "kept apart" in line]

    assert len(told) == len(texts) - 1
    assert all(repr(text) in line for text, line in zip(texts[1:], told, strict=True))
    assert reached_by(database)["hip hop"] == 1
    assert {*reached_by(database).values()} == {*range(1, len(texts) + 1)}


def test_keys_that_move_up_one_after_the_other_do_not_collide(database: Path) -> None:
    """A key that another genre is about to leave is free: only genres of one key collide."""
    create(database, "First", "Second")
    age(database, (1, "a", "B"), (2, "b", "C"))

    with opened(database) as (_, done):
        assert [line for line in done if "kept apart" in line] == []

    assert reached_by(database) == {"b": 1, "c": 2}


def test_the_writer_keeps_what_it_acknowledges(database: Path) -> None:
    """WAL with a full sync on every commit is what survived every power cut."""
    with opened(database) as (writer, _), writer.begin():
        pragmas = {
            name: writer.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "mmap_size")
        }

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "mmap_size": 0}


def test_a_reader_can_not_write(database: Path) -> None:
    """Exactly one connection ever changes the file."""
    with opened(database):
        engine = reading_engine(database)
        with (
            pytest.raises(OperationalError, match="readonly"),
            engine.begin() as reader,
        ):
            reader.exec_driver_sql("UPDATE registry SET revision = 7")
        engine.dispose()

    assert ask(database, "SELECT revision FROM registry") == [(0,)]


def test_a_reader_sees_one_moment(database: Path) -> None:
    """What a reader looks at does not change between two of its questions."""
    count = "SELECT count(*) FROM genre"
    with opened(database) as (writer, _):
        engine = reading_engine(database)
        with engine.begin() as reader:
            before = reader.exec_driver_sql(count).scalar_one()
            with writer.begin():
                grant(writer, [Claim(Spelling.of("Dub"), "")])
            assert reader.exec_driver_sql(count).scalar_one() == before == 0
        with engine.begin() as reader:
            assert reader.exec_driver_sql(count).scalar_one() == 1
        engine.dispose()


def test_a_writer_waits_for_its_turn_instead_of_failing(database: Path) -> None:
    """Reading before inserting takes the write lock first, so that waiting is all it takes."""
    create(database, "Dub")
    claims = [Claim(Spelling.of(name), "") for name in ("dub", "Ska")]

    def read_then_insert() -> list[bool]:
        with writing_engine(database).begin() as writer:
            return [granted.made for granted in grant(writer, claims).granted]

    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE registry SET incarnation = 'changed by another'")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(read_then_insert)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
            other.execute("COMMIT")
            assert waiting.result(timeout=30) == [False, True]

    assert ask(database, "SELECT incarnation, revision FROM registry") == [
        ("changed by another", 2)
    ]


def test_every_refusal_has_an_exit_code_of_its_own() -> None:
    """Scripts tell one kind of unusable database from another."""
    codes = [kind.exit_code for kind in DatabaseUnusable.__subclasses__()]

    assert len(codes) == len(set(codes)) > 0


def test_an_alias_that_now_reads_as_another_genre_stays_with_its_own(database: Path) -> None:
    """Kept apart and reported, as a name would be."""
    create(database, "Dub", "Ska")
    ask(
        database,
        "UPDATE registry SET key_version = 0",
        "INSERT INTO spelling VALUES ('s-k-a', 's-k-a', 'SKA', 1, 'alias', 'synonyms')",
    )

    with opened(database) as (_, done):
        assert any("kept apart" in line for line in done)

    assert set(reached_by(database).items()) == {("dub", 1), ("ska", 2), ("\x1fska", 1)}

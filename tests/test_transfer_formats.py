"""What an import reads and an export writes: every format alone, and each way it can be wrong."""

import csv
import io
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from genre_registry.v1 import genre_registry_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker_client._records import dict_of, record_of
from worker_client.transfer.cells import cell_list, cell_text, list_cell, text_cell
from worker_client.transfer.csv_files import read_csv, write_csv
from worker_client.transfer.jsonl import read_jsonl, write_jsonl
from worker_client.transfer.records import KINDS, LINE_BYTES_MAX, InputWrong, Placed, Record
from worker_client.transfer.sources import Wanted, format_of, opened
from worker_client.transfer.table import COLUMNS

ROOT = Path(__file__).parent.parent


def read(path: Path, **wanted: Any) -> list[Placed]:
    """Return what an import would take from a file."""
    with opened(str(path), Wanted(**wanted)) as source:
        return list(source.records())


def read_text(tmp_path: Path, text: str, name: str = "file", **wanted: Any) -> list[Record]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return [placed.record for placed in read(path, **wanted)]


def genre(name: str, **more: Any) -> Record:
    return {"genre": {"name": name, **more}}


# Records, there and back

texts = st.text(max_size=12) | st.sampled_from(
    [
        *("=1+1", "'=x", "''", "'n' roll", "-x", "+", "@a", "a;b", "; ", '"', '"a"; b', 'a""'),
        *(
            "\r\n",
            "\ra",
            "a\nb",
            "\ta",
            " ",
            "\x00",
            "a=b",
            "[1]",
            "{}",
            "null",
            "\u2028",
            "\ufeff",
        ),
    ]
)
ids = st.integers(0, 2**63 - 1)
flags = st.booleans()
moments = st.integers(0, 2**31).map(lambda s: Timestamp(seconds=s, nanos=1000))
maps = st.dictionaries(texts, texts, max_size=3)
few = {"max_size": 3}
spellings = st.builds(pb.Record.Spelling, text=texts, is_name=flags, is_pinned=flags, source=texts)
named = texts.flatmap(
    lambda name: st.builds(
        pb.Record.Genre,
        id=ids,
        name=st.just(name),
        state=st.integers(0, 2),
        merged_into_id=ids,
        description=texts,
        spellings=st.lists(spellings | st.just(pb.Record.Spelling(text=name, is_name=True)), **few)
        | st.just([pb.Record.Spelling(text=name, is_name=True)]),
        parent_ids=st.lists(ids, **few),
        parents=st.lists(texts, **few),
        external_ids=maps,
        removed_parent_ids=st.lists(ids, **few),
        removed_external_ids=st.lists(texts, **few),
        create_time=moments,
        revision=ids,
        request_id=texts,
    )
)
shown = st.builds(pb.Genre, id=ids, name=texts, aliases=st.lists(texts, **few))
records = st.one_of(
    st.builds(
        pb.Record,
        registry=st.builds(pb.Record.Registry, format=st.just(1), incarnation=texts, revision=ids),
    ),
    st.builds(pb.Record, pack=st.builds(pb.Record.Pack, name=texts, content=texts)),
    st.builds(pb.Record, genre=named),
    st.builds(pb.Record, block=st.builds(pb.Record.Block, spelling=texts, is_pinned=flags)),
    st.builds(pb.Record, detached=st.builds(pb.Record.Detached, key=texts)),
    st.builds(
        pb.Record,
        review=st.builds(
            pb.Review,
            text=texts,
            rule=texts,
            decision=st.integers(0, 4),
            names=st.lists(texts, **few),
            genre=shown,
        ),
    ),
    st.builds(
        pb.Record,
        change=st.builds(
            pb.Change,
            revision=ids,
            type=st.integers(0, 13),
            genre_id=ids,
            differences=st.lists(
                st.builds(pb.Change.Difference, field=texts, removed=st.lists(texts, **few)), **few
            ),
            genre=shown,
        ),
    ),
).map(dict_of)


def written_csv(given: list[Record]) -> bytes:
    file = io.StringIO(newline="")
    write_csv(given, file)
    return file.getvalue().encode()


def written_jsonl(given: list[Record]) -> bytes:
    file = io.StringIO(newline="")
    write_jsonl(given, file)
    return file.getvalue().encode()


@settings(max_examples=80, deadline=None)
@given(st.lists(records, max_size=4))
def test_a_registry_as_csv_is_the_same_registry(given: list[Record]) -> None:
    """Any text in any field, and every kind of record: records, table, records."""
    assert [placed.record for placed in read_csv(io.BytesIO(written_csv(given)))] == given


@settings(deadline=None)
@given(st.lists(records, max_size=4))
def test_a_registry_as_json_lines_is_the_same_registry(given: list[Record]) -> None:
    """A record a line, whatever is in it."""
    found = list(read_jsonl(io.BytesIO(written_jsonl(given))))

    assert [placed.record for placed in found] == given
    assert [placed.line for placed in found] == list(range(1, len(given) + 1))


@given(texts)
def test_any_text_fits_into_a_cell(text: str) -> None:
    """And never begins a formula."""
    assert cell_text(text_cell(text)) == text
    assert not text_cell(text).startswith(("=", "+", "-", "@", "\t", "\r"))


@given(st.lists(texts, max_size=5))
def test_any_texts_fit_into_a_cell(parts: list[str]) -> None:
    """In order, also blank ones, and those that hold what joins them."""
    assert cell_list(list_cell(parts)) == parts


def test_the_kinds_are_those_of_the_contract() -> None:
    """A new kind of record is not forgotten here."""
    assert set(KINDS) == {field.name for field in pb.Record.DESCRIPTOR.fields}


FULL = {
    "genre": {
        "id": 12,
        "name": "Drum and Bass",
        "state": "GENRE_STATE_ACTIVE",
        "spellings": [
            {"text": "D&B; the long one"},
            {"text": "dnb", "source": "musicbrainz"},
            {"text": "Drum and Bass", "is_name": True},
        ],
        "parent_ids": [3, 7],
        "external_ids": {"musicbrainz": "abc", "wikidata": "Q1"},
        "description": "=fast",
    }
}


def test_a_table_is_readable() -> None:
    """What people look for has a column, in words and joined lists."""
    head, row = csv.reader(io.StringIO(written_csv([FULL]).decode(), newline=""))

    assert tuple(head) == COLUMNS
    cells = dict(zip(head, row, strict=True))
    assert json.loads(cells.pop("more")) == {"spellings": FULL["genre"]["spellings"]}
    assert {column: cell for column, cell in cells.items() if cell} == {
        "type": "genre",
        "id": "12",
        "name": "Drum and Bass",
        "state": "active",
        "aliases": '"D&B; the long one"; dnb',
        "parent_ids": "3; 7",
        "external_ids": "musicbrainz=abc; wikidata=Q1",
        "description": "'=fast",
    }


def test_a_table_may_be_edited(tmp_path: Path) -> None:
    """A new name, an alias more and one less; who brought the others is still known."""
    rows = list(csv.DictReader(io.StringIO(written_csv([FULL]).decode(), newline="")))
    rows[0] |= {"name": "DnB", "aliases": "dnb; Jungle"}
    edited = io.StringIO(newline="")
    table = csv.DictWriter(edited, COLUMNS, delimiter=";")
    table.writeheader()
    table.writerows(rows)

    [record] = read_text(tmp_path, edited.getvalue())

    assert record["genre"]["name"] == "DnB"
    assert record["genre"]["spellings"] == [
        {"text": "dnb", "source": "musicbrainz"},
        {"text": "DnB", "is_name": True},
        {"text": "Jungle"},
    ]


def test_a_table_may_be_written_by_hand(tmp_path: Path) -> None:
    """With the columns that one needs, in any order; a row is a genre if it does not say."""
    found = read_text(
        tmp_path,
        "Name,type,parents,aliases,decision\n"
        "Rock,,,,\n\n"
        "Hard Rock,genre,Rock; Loud,hardrock,\n"
        "Noise,block,,,\n"
        "Rock/Pop,review,,,keep\n",
    )

    assert found == [
        genre("Rock", spellings=[{"text": "Rock", "is_name": True}]),
        genre(
            "Hard Rock",
            parents=["Rock", "Loud"],
            spellings=[{"text": "Hard Rock", "is_name": True}, {"text": "hardrock"}],
        ),
        {"block": {"spelling": "Noise"}},
        {"review": {"text": "Rock/Pop", "decision": "DECISION_KEEP"}},
    ]
    for record in found:
        record_of(record)


# Names


def test_a_list_is_a_name_a_line(tmp_path: Path) -> None:
    """As beets' whitelist: comments, blank lines, Windows' ends, and a byte order mark."""
    found = read_text(tmp_path, "\ufeff# mine\r\nacid jazz\r\n\r\n  C# blues \n#x\nno, really")

    assert found == [genre("acid jazz"), genre("C# blues"), genre("no, really")]


def test_a_tree_tells_parents(tmp_path: Path) -> None:
    """Every scalar is a name, whatever YAML makes of it elsewhere; parents come first."""
    text = """
- electronic:
    - house:
        - acid house
    - techno:
    - 2000
- no
- "r&b": soul
"""
    path = tmp_path / "tree.yaml"
    path.write_text(text)

    found = read(path)

    assert [placed.record for placed in found] == [
        genre("electronic"),
        genre("house", parents=["electronic"]),
        genre("acid house", parents=["house"]),
        genre("techno", parents=["electronic"]),
        genre("2000", parents=["electronic"]),
        genre("no"),
        genre("r&b"),
        genre("soul", parents=["r&b"]),
    ]
    assert [placed.line for placed in found] == [2, 3, 4, 5, 6, 7, 8, 8]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("id,name\n7,Rock\n12,Pop\n", {}),
        ("name;colour;id\r\nRock;red;7\r\n\r\nPop;;12\r\n", {}),
        ("\ufeffID\tGenre\n7.0\tRock\n12\t Pop\n", {}),
        ('"genre_id", "genre_name"\n7, "Rock"\n12, "Pop"\n', {}),
        ("nr|title|id\n7|Rock|x\n12|Pop|y\n", {"name_column": "Title", "id_column": "nr"}),
    ],
)
def test_ids_and_names_are_found_by_column(
    tmp_path: Path, text: str, wanted: dict[str, str]
) -> None:
    """Whatever the delimiter, the order and the other columns."""
    found = read_text(tmp_path, text, format="csv", **wanted)

    assert [(each["genre"]["id"], each["genre"]["name"].strip()) for each in found] == [
        (7, "Rock"),
        (12, "Pop"),
    ]


def test_ids_may_be_left_out(tmp_path: Path) -> None:
    """Those of a column that holds none; and names are read alone from any table."""
    assert read_text(tmp_path, "id,name\nx1,Rock\n", id_column="") == [genre("Rock")]
    assert read_text(tmp_path, "type,name\nx,Rock\n", name_column="name") == [genre("Rock")]


# An application's database


@pytest.fixture
def application(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The database of an application, still open there."""
    database = sqlite3.connect(tmp_path / "app's #1.db", isolation_level=None)
    database.execute('CREATE TABLE "Genres" (id INTEGER PRIMARY KEY, name, "the "" name" TEXT)')
    database.executemany(
        'INSERT INTO "Genres" VALUES (?, ?, ?)',
        [(12, "Pop", "pop"), (7, "Rock", "rock"), (9, None, ""), (10, 1980, "eighty")],
    )
    yield database
    database.close()


def beside(path: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file of the folder, with content and time."""
    return {
        each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in path.parent.iterdir()
    }


@pytest.mark.parametrize("mode", ["delete", "wal", "wal, closed"])
def test_a_database_is_read_and_left_alone(
    tmp_path: Path, application: sqlite3.Connection, mode: str
) -> None:
    """By ascending id, with what was committed last, and not a file changes or appears."""
    application.execute(f"PRAGMA journal_mode = {mode.partition(',')[0]}")
    application.execute("UPDATE genres SET name = 'Rock!' WHERE id = 7")
    if "closed" in mode:
        application.close()
    before = beside(tmp_path / "app's #1.db")

    found = read(tmp_path / "app's #1.db")

    after = beside(tmp_path / "app's #1.db")
    assert [placed.record for placed in found] == [
        genre("Rock!", id=7),
        genre("", id=9),
        genre("1980", id=10),
        genre("Pop", id=12),
    ]
    # The index of a log that is there already is the readers' too; it holds no data.
    assert {name: kept for name, kept in after.items() if not name.endswith("-shm")} == {
        name: kept for name, kept in before.items() if not name.endswith("-shm")
    }
    assert after.keys() == before.keys()


def test_a_database_that_can_not_be_written_is_read(
    tmp_path: Path, application: sqlite3.Connection
) -> None:
    """Its folder too may be someone else's."""
    application.execute("PRAGMA journal_mode = wal")
    application.close()
    folder = tmp_path / "ro"
    folder.mkdir()
    path = (tmp_path / "app's #1.db").rename(folder / "app.db")
    path.chmod(0o400)
    folder.chmod(0o500)
    try:
        assert len(read(path)) == 4
    finally:
        folder.chmod(0o700)


def test_any_table_and_column_will_do(application: sqlite3.Connection, tmp_path: Path) -> None:
    """A view, a quote in a name, another case."""
    application.execute('CREATE VIEW "v; --" AS SELECT id AS nr, "the "" name" AS n FROM genres')
    path = tmp_path / "app's #1.db"

    assert [placed.record for placed in read(path, table="v; --", name_column="N")][:1] == [
        genre("rock")
    ]
    assert [placed.record for placed in read(path, name_column='THE " NAME', id_column="")] == [
        genre(name) for name in ("rock", "", "eighty", "pop")
    ]


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"table": "genre"}, "It has no table genre; its tables are Genres."),
        (
            {"name_column": "title"},
            'It has no column title in the table Genres; its columns are id, name, the " name.',
        ),
        ({"id_column": "nr"}, "no column nr in the table Genres"),
        ({"id_column": "name"}, "The column name holds 'Pop', and an id is a whole number"),
    ],
)
def test_what_a_database_has_is_told(
    tmp_path: Path, application: sqlite3.Connection, wanted: dict[str, str], sentence: str
) -> None:
    """A wrong name is answered with the right ones."""
    application.execute("UPDATE genres SET name = 'Pop'")

    with pytest.raises(InputWrong) as refused:
        read(tmp_path / "app's #1.db", **wanted)

    assert sentence in str(refused.value)


# Which format


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("x.jsonl", b"", "jsonl"),
        ("x", b'\xef\xbb\xbf{"genre": {}}', "jsonl"),
        ("x.csv", b"a", "csv"),
        ("-", b"type,id,name\n", "csv"),
        ("-", b"id;name\n", "csv"),
        ("-", b"Genre\tPlays\n", "csv"),
        ("x.txt", b"rock, pop and more\n", "list"),
        ("-", b"", "list"),
        ("x.yml", b"- a:\n", "beets-tree"),
        ("x.csv", b"SQLite format 3\0...", "sqlite"),
        ("x.db", b"", "sqlite"),
    ],
)
def test_a_format_is_known_by_content_and_ending(name: str, head: bytes, expected: str) -> None:
    """What is plain to see need not be said."""
    assert format_of(name, head) == expected


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    """Twice: the first reading is the check."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    if os.fork() == 0:
        path.write_text("Rock\n")
        os._exit(0)

    with opened(str(path), Wanted()) as source:
        first, second = list(source.records()), list(source.records())
    os.wait()

    assert first == second == [Placed(genre("Rock"), 1)]


# What is wrong


@pytest.mark.parametrize(
    ("name", "content", "line", "sentence"),
    [
        ("x.jsonl", b'{"genre": {}}\n\n{"genre": \n', 3, "It is no JSON: Expecting value at"),
        ("x.jsonl", b"[1]\n", 1, "It is no JSON object such as"),
        ("x.jsonl", b'{"gnere": {}}\n', 1, "one of registry, pack, genre"),
        ("x.jsonl", b'{"genre": {}, "block": {}}\n', 1, "A record has one key"),
        ("x.jsonl", b'{"genre": "Rock"}\n', 1, 'What "genre" holds is no JSON object.'),
        ("x.jsonl", b"[" * 100_000, 1, "nested too deep"),
        ("x.txt", b"Rock\nCaf\xe9\n", 2, "Byte 4 of the line is no UTF-8. Save the file as UTF-8"),
        ("x.txt", b"x" * (LINE_BYTES_MAX + 1), 1, "longer than 16 MiB"),
        ("x.yaml", b"- a:\n   - b\n  - c\n", 3, "It is no YAML"),
        ("x.yaml", b"rock\npop\n", 1, "It is no tree"),
        ("x.yaml", b"- a\n- &x b\n- *x\n", 3, "no YAML aliases"),
        ("x.yaml", b"- a\n- [b]: c\n", 2, "Here should be the name of a genre."),
        ("x.yaml", b"- a\n-\n", 2, "Here should be the name of a genre."),
        ("x.yaml", b"[" * 100_000, 0, "nested too deep"),
        ("x.yaml", b"- \x01\n", 0, "It is no YAML"),
        ("x.csv", b"id,title\n1,Rock\n", 1, "No column is named name or genre"),
        ("x.csv", b"id,title\n1,Rock\n", 1, "those of the first line are: id, title. Say which"),
        ("x.csv", b"", 1, "are: none."),
        ("x.csv", b"id,name\n1,Rock\n\nx,Pop\n", 4, "The column id holds 'x', and an id is"),
        ("x.csv", b"id,name\n0,Rock\n", 2, "a whole number from 1 on"),
        ("x.csv", b'id,name\n1,"Ro\n\nck"\n2,"Po"p\n', 5, "The row is no CSV"),
        ("x.csv", b'id,name\n1,"Rock\n2,Pop\n', 2, "Is a quotation mark left open"),
        ("x.csv", b"type,name,alias\n", 1, "No registry has the column alias"),
        ("x.csv", b"type,name\ngnere,x\n", 2, "The type is 'gnere', and there are only"),
        ("x.csv", b"type,id,name\ngenre,x1,x\n", 2, "The column id holds 'x1', and should hold a"),
        ("x.csv", b'type,name,parents\n,x,"""a"" b"\n', 2, "The column parents holds"),
        ("x.csv", b"type,name,external_ids\n,x,abc\n", 2, "such as musicbrainz="),
        ("x.csv", b"type,name,state\n,x,gone\n", 2, "should hold one of active, deleted."),
        ("x.csv", b"type,name,more\n,x,{\n", 2, "The column more holds no JSON object."),
        ("x.csv", b"type,name,state\nblock,x,active\n", 2, "A row of the type block has no state."),
        ("x.csv", b"type,name\n,x,y\n", 2, "more cells than the first line has columns"),
        ("x.db", b"hello", 0, "It is no SQLite database."),
        ("x.db", b"SQLite format 3\0 or not", 0, "SQLite can't read it"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, name: str, content: bytes, line: int, sentence: str
) -> None:
    """In a sentence, and with what to do about it where that is not plain."""
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(InputWrong) as refused:
        read(path)

    assert sentence in str(refused.value)
    assert refused.value.line == line


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["x.jsonl", "x.csv", "x.txt", "x.yaml", "x.db"]))
def test_no_bytes_do_worse_than_a_sentence(tmp_path: Path, content: bytes, name: str) -> None:
    """Whatever is in a file, it is read or refused."""
    path = tmp_path / name
    path.write_bytes(content)
    with suppress(InputWrong):
        assert all(placed.record.keys() <= set(KINDS) for placed in read(path))

"""
The tables, as the newest migration leaves them.

* `registry`: one row: which registry this is and where it stands. Whoever writes
  locks it first, which makes read-then-insert free of races on any database.
* `genre`: one row a genre; rows are never deleted, so ids are never reused.
* `spelling`: one row a key; names and aliases of genres share one namespace.
* `parent`, `external_id`: what a genre is a kind of, and its ids elsewhere.
* `review`: compounds that no rule could decide, for a curator.
* `pack`: reference packs imported in place of those that come with the server.
* `change`: one row a revision: the journal, never trimmed.

Times are microseconds since 1970, UTC.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

APPLICATION_ID = 0x47454E52
"""Marks an SQLite file as a genre registry's: "GENR"."""

HEAD = "0002"
"""The newest migration. A test compares it with the migrations themselves."""

NAME = "name"
ALIAS = "alias"
"""The kinds of spelling: a genre has one name."""

BigInt = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

registry = Table(
    "registry",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="registry_is_one"), primary_key=True),
    Column("incarnation", Text, nullable=False),
    Column("revision", BigInt, nullable=False),
    Column("genre_id_last", BigInt, nullable=False),
    Column("key_version", Integer, nullable=False),
    Column("unicode_version", Text, nullable=False),
    # The packs, and the rules for keys, that the genres were last linked by.
    Column("linked_by", Text, nullable=False, server_default=""),
    sqlite_strict=True,
)

genre = Table(
    "genre",
    metadata,
    Column("id", BigInt, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("revision", BigInt, nullable=False),
    Column("create_time_us", BigInt, nullable=False),
    Column("update_time_us", BigInt, nullable=False),
    Column("request_id", Text, nullable=False),
    sqlite_strict=True,
)

spelling = Table(
    "spelling",
    metadata,
    Column("lookup_key", Text, primary_key=True),
    Column("strict_key", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("genre_id", BigInt, ForeignKey("genre.id"), nullable=False),
    Column("kind", Text, nullable=False, server_default=NAME),
    # The pack that brought it; "" for one that was seen in a tag.
    Column("source", Text, nullable=False, server_default=""),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# Names, of which there may be a million, are found by key alone.
Index(
    "spelling_alias",
    spelling.c.genre_id,
    sqlite_where=spelling.c.kind == ALIAS,
    postgresql_where=spelling.c.kind == ALIAS,
)

parent = Table(
    "parent",
    metadata,
    Column("child_id", BigInt, ForeignKey("genre.id"), primary_key=True, autoincrement=False),
    Column("parent_id", BigInt, ForeignKey("genre.id"), primary_key=True, autoincrement=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

external_id = Table(
    "external_id",
    metadata,
    Column("genre_id", BigInt, ForeignKey("genre.id"), primary_key=True, autoincrement=False),
    Column("whose", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

Index("external_id_value", external_id.c.value)

review = Table(
    "review",
    metadata,
    Column("lookup_key", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("raw_value", Text, nullable=False),
    Column("first_seen_us", BigInt, nullable=False),
    Column("times_seen", BigInt, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

pack = Table(
    "pack",
    metadata,
    Column("name", Text, primary_key=True),
    Column("content", Text, nullable=False),
    Column("import_time_us", BigInt, nullable=False),
    sqlite_strict=True,
)

change = Table(
    "change",
    metadata,
    Column("revision", BigInt, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("genre_id", BigInt, ForeignKey("genre.id"), nullable=False),
    Column("time_us", BigInt, nullable=False),
    sqlite_strict=True,
)

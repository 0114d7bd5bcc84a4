"""
The tables, as the newest migration leaves them.

* `registry`: one row: which registry this is and where it stands. Whoever writes
  locks it first, which makes read-then-insert free of races on any database.
* `genre`: one row a genre; rows are never deleted, so ids are never reused.
* `spelling`: one row a key; names of genres share one namespace.
* `change`: one row a revision: the journal, never trimmed.

Times are microseconds since 1970, UTC.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
)

APPLICATION_ID = 0x47454E52
"""Marks an SQLite file as a genre registry's: "GENR"."""

HEAD = "0001"
"""The newest migration. A test compares it with the migrations themselves."""

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
    sqlite_strict=True,
    sqlite_with_rowid=False,
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

"""
The tables, as the newest migration leaves them.

* `registry`: one row: which registry this is and where it stands. Whoever writes
  locks it first, which makes read-then-insert free of races on any database.
* `genre`: one row a genre; rows are never deleted, so ids are never reused. A merged
  one has the genre it was merged into, and the survivor at the end of that chain.
* `spelling`: one row a key; names and aliases of genres, and blocks, share one
  namespace.
* `parent`, `external_id`: what a genre is a kind of, and its ids elsewhere.
* `tombstone`: what a curator took away, which no pack brings back.
* `review`: compounds that no rule could decide, and what a curator decided.
* `pack`: reference packs imported in place of those that come with the server.
* `change`: one row a revision: the journal, never trimmed. A row's snapshot is the
  genre as of then, written when the genre changes again; until then it is the genre
  as it is.

Spellings, parents and ids elsewhere stay with the genre that brought them, also when
it is merged: whoever reads follows `survivor_id`. So a merge moves nothing, and its
undoing gives everything back. Beside the tables lies an index to search by, `search`,
which follows the journal: one row a genre.

Times are microseconds since 1970, UTC.

Queries are built from these tables; the migrations make them. What other databases need
beyond SQLite stands in the migrations alone, for a word of it here loads their dialects
at every start.
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

HEAD = "0003"
"""The newest migration. A test compares it with the migrations themselves."""

NAME = "name"
ALIAS = "alias"
BLOCKED = "blocked"
"""The kinds of spelling: a genre that is not merged has one name; a block has no genre."""

CURATOR = "curator"
"""The source of a spelling that a curator brought."""

DETACHED = "detached"
PARENT = "parent"
EXTERNAL_ID = "external_id"
"""The kinds of tombstone: of a key, which has no genre; of a parent's id; of whose id."""

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
    # Up to where snapshots are gone, or never were: it can't be watched from before.
    Column("trimmed_revision", BigInt, nullable=False, server_default="0"),
    # How far the index to search by has followed the journal.
    Column("searchable_revision", BigInt, nullable=False, server_default="0"),
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
    Column("state", Text, nullable=False, server_default="active"),
    Column("description", Text, nullable=False, server_default=""),
    Column("merged_into_id", BigInt, ForeignKey("genre.id")),
    Column("survivor_id", BigInt, ForeignKey("genre.id")),
    sqlite_strict=True,
)

Index(
    "genre_merged",
    genre.c.survivor_id,
    sqlite_where=genre.c.survivor_id.is_not(None),
)

spelling = Table(
    "spelling",
    metadata,
    Column("lookup_key", Text, primary_key=True),
    Column("strict_key", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("genre_id", BigInt, ForeignKey("genre.id")),
    Column("kind", Text, nullable=False),
    # The pack that brought it, or a curator; "" for one that was seen in a tag.
    Column("source", Text, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# Names, of which there may be a million, are found by key alone.
Index(
    "spelling_alias",
    spelling.c.genre_id,
    sqlite_where=spelling.c.kind == ALIAS,
)

Index(
    "spelling_curated",
    spelling.c.lookup_key,
    sqlite_where=spelling.c.source == CURATOR,
)

parent = Table(
    "parent",
    metadata,
    Column("child_id", BigInt, ForeignKey("genre.id"), primary_key=True, autoincrement=False),
    Column("parent_id", BigInt, ForeignKey("genre.id"), primary_key=True, autoincrement=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

Index("parent_of", parent.c.parent_id)

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

tombstone = Table(
    "tombstone",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("genre_id", BigInt, primary_key=True, autoincrement=False),
    Column("value", Text, primary_key=True),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

review = Table(
    "review",
    metadata,
    Column("lookup_key", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("raw_value", Text, nullable=False),
    Column("first_seen_us", BigInt, nullable=False),
    Column("times_seen", BigInt, nullable=False),
    Column("decision", Text, nullable=False, server_default=""),
    # A JSON array of what it was expanded into.
    Column("names", Text, nullable=False, server_default="[]"),
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
    Column("genre_id", BigInt, ForeignKey("genre.id")),
    Column("time_us", BigInt, nullable=False),
    Column("who", Text, nullable=False),
    Column("source_id", BigInt, ForeignKey("genre.id")),
    Column("spelling", Text, nullable=False, server_default=""),
    # JSON: what became of the genre's fields, where that is not plain from the kind.
    Column("differences", Text, nullable=False, server_default=""),
    # JSON: the genre as of then; null while it is the genre as it is.
    Column("snapshot", Text),
    sqlite_strict=True,
)

Index("change_genre", change.c.genre_id)
Index(
    "change_snapshot",
    change.c.revision,
    sqlite_where=change.c.snapshot.is_not(None),
)
Index(
    "change_source",
    change.c.source_id,
    sqlite_where=change.c.source_id.is_not(None),
)

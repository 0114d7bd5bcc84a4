"""Curating: states, merges, blocks, tombstones, decisions, a fuller journal, and search."""

import sqlalchemy as sa
from alembic import op

from registry_server.store.schema import BigInt

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "registry", sa.Column("searchable_revision", BigInt, nullable=False, server_default="0")
    )
    op.add_column(
        "registry", sa.Column("trimmed_revision", BigInt, nullable=False, server_default="0")
    )
    # Of changes that were made before there were snapshots nothing tells "as of then".
    op.execute("UPDATE registry SET trimmed_revision = revision")
    _genre()
    _spelling()
    _change()
    op.create_index("parent_of", "parent", ["parent_id"])
    op.create_table(
        "tombstone",
        sa.Column("kind", sa.Text),
        sa.Column("genre_id", BigInt, autoincrement=False),
        sa.Column("value", sa.Text),
        sa.PrimaryKeyConstraint("kind", "genre_id", "value"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.add_column("review", sa.Column("decision", sa.Text, nullable=False, server_default=""))
    op.add_column("review", sa.Column("names", sa.Text, nullable=False, server_default="[]"))
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE VIRTUAL TABLE search USING fts5(text, tokenize = 'trigram')")


def _genre() -> None:
    op.add_column("genre", sa.Column("state", sa.Text, nullable=False, server_default="active"))
    op.add_column("genre", sa.Column("description", sa.Text, nullable=False, server_default=""))
    # In words: Alembic adds no constraint to a table of SQLite's, which takes this one.
    kind = BigInt.compile(op.get_bind().dialect)
    for name in ("merged_into_id", "survivor_id"):
        op.execute(f"ALTER TABLE genre ADD COLUMN {name} {kind} REFERENCES genre (id)")
    op.create_index(
        "genre_merged",
        "genre",
        ["survivor_id"],
        sqlite_where=sa.text("survivor_id IS NOT NULL"),
        postgresql_where=sa.text("survivor_id IS NOT NULL"),
    )


def _spelling() -> None:
    """Make it anew: a block has no genre, and SQLite takes no constraint away."""
    op.create_table(
        "spelling_with_blocks",
        sa.Column("lookup_key", sa.Text, primary_key=True),
        sa.Column("strict_key", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("genre_id", BigInt, sa.ForeignKey("genre.id")),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO spelling_with_blocks (lookup_key, strict_key, text, genre_id, kind, source) "
        "SELECT lookup_key, strict_key, text, genre_id, kind, source FROM spelling"
    )
    op.drop_table("spelling")
    op.rename_table("spelling_with_blocks", "spelling")
    for name, column, condition in (
        ("spelling_alias", "genre_id", "kind = 'alias'"),
        ("spelling_curated", "lookup_key", "source = 'curator'"),
    ):
        where = sa.text(condition)
        op.create_index(name, "spelling", [column], sqlite_where=where, postgresql_where=where)


def _change() -> None:
    """Make it anew: a block's change has no genre, and SQLite takes no constraint away."""
    op.create_table(
        "journal",
        sa.Column("revision", BigInt, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("genre_id", BigInt, sa.ForeignKey("genre.id")),
        sa.Column("time_us", BigInt, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("source_id", BigInt, sa.ForeignKey("genre.id")),
        sa.Column("spelling", sa.Text, nullable=False, server_default=""),
        sa.Column("differences", sa.Text, nullable=False, server_default=""),
        sa.Column("snapshot", sa.Text),
        sqlite_strict=True,
    )
    op.execute(
        "INSERT INTO journal (revision, kind, genre_id, time_us, who) "
        "SELECT revision, kind, genre_id, time_us, '' FROM change"
    )
    op.drop_table("change")
    op.rename_table("journal", "change")
    op.create_index("change_genre", "change", ["genre_id"])
    for name, column, condition in (
        ("change_snapshot", "revision", "snapshot IS NOT NULL"),
        ("change_source", "source_id", "source_id IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, "change", [column], sqlite_where=where, postgresql_where=where)

"""What the reference packs bring: aliases, parents, ids elsewhere, and the review list."""

import sqlalchemy as sa
from alembic import op

from registry_server.store.schema import BigInt

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("registry", sa.Column("linked_by", sa.Text, nullable=False, server_default=""))
    op.add_column("spelling", sa.Column("kind", sa.Text, nullable=False, server_default="name"))
    op.add_column("spelling", sa.Column("source", sa.Text, nullable=False, server_default=""))
    op.create_index(
        "spelling_alias",
        "spelling",
        ["genre_id"],
        sqlite_where=sa.text("kind = 'alias'"),
        postgresql_where=sa.text("kind = 'alias'"),
    )
    op.create_table(
        "parent",
        sa.Column("child_id", BigInt, sa.ForeignKey("genre.id"), autoincrement=False),
        sa.Column("parent_id", BigInt, sa.ForeignKey("genre.id"), autoincrement=False),
        sa.PrimaryKeyConstraint("child_id", "parent_id"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "external_id",
        sa.Column("genre_id", BigInt, sa.ForeignKey("genre.id"), autoincrement=False),
        sa.Column("whose", sa.Text),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("genre_id", "whose"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("external_id_value", "external_id", ["value"])
    op.create_table(
        "review",
        sa.Column("lookup_key", sa.Text, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("raw_value", sa.Text, nullable=False),
        sa.Column("first_seen_us", BigInt, nullable=False),
        sa.Column("times_seen", BigInt, nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pack",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("import_time_us", BigInt, nullable=False),
        sqlite_strict=True,
    )

"""Genres, their spellings, and the journal of changes."""

import secrets

import sqlalchemy as sa
from alembic import op

from registry_server.store.schema import APPLICATION_ID, BigInt
from registry_server.vocabulary.identity import KEY_VERSION, UNICODE_VERSION

revision = "0001"
down_revision = None


def upgrade() -> None:
    registry = op.create_table(
        "registry",
        sa.Column(
            "id", sa.Integer, sa.CheckConstraint("id = 1", name="registry_is_one"), primary_key=True
        ),
        sa.Column("incarnation", sa.Text, nullable=False),
        sa.Column("revision", BigInt, nullable=False),
        sa.Column("genre_id_last", BigInt, nullable=False),
        sa.Column("key_version", sa.Integer, nullable=False),
        sa.Column("unicode_version", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.bulk_insert(
        registry,
        [
            {
                "id": 1,
                "incarnation": secrets.token_hex(8),
                "revision": 0,
                "genre_id_last": 0,
                "key_version": KEY_VERSION,
                "unicode_version": UNICODE_VERSION,
            }
        ],
    )
    op.create_table(
        "genre",
        sa.Column("id", BigInt, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("revision", BigInt, nullable=False),
        sa.Column("create_time_us", BigInt, nullable=False),
        sa.Column("update_time_us", BigInt, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "spelling",
        sa.Column("lookup_key", sa.Text, primary_key=True),
        sa.Column("strict_key", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("genre_id", BigInt, sa.ForeignKey("genre.id"), nullable=False),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "change",
        sa.Column("revision", BigInt, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("genre_id", BigInt, sa.ForeignKey("genre.id"), nullable=False),
        sa.Column("time_us", BigInt, nullable=False),
        sqlite_strict=True,
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"PRAGMA application_id = {APPLICATION_ID}")

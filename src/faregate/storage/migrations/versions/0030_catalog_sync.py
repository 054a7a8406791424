"""How far the billing provider has the catalog, and plans that are archived."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"

_INSERT = (
    "INSERT INTO catalog_sync (application_id, kind, our_id, revision, synced_revision, account, attempts, drift)"
    " SELECT application_id, '{kind}', {column}, 1, 0, '', 0, '[]' FROM {rows}"
)


def upgrade() -> None:
    """Make the tables; all that is sold already is to be told."""
    op.create_table(
        "catalog_sync",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("our_id", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("synced_revision", sa.Integer, nullable=False),
        sa.Column("account", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("changes_at", sa.BigInteger),
        sa.Column("retry_at", sa.BigInteger),
        sa.Column("synced_at", sa.BigInteger),
        sa.Column("looked_at", sa.BigInteger),
        sa.Column("last_error", sa.Text),
        sa.Column("drift", sa.Text, nullable=False),
    )
    op.create_table(
        "archived_plan",
        sa.Column("plan_id", sa.Text, primary_key=True),
        sa.Column("archived_at", sa.BigInteger, nullable=False),
    )
    for kind, column, rows in (("plan", "plan_id", "plan"), ("price", "series_id", "price WHERE version = 1")):
        op.execute(_INSERT.format(kind=kind, column=column, rows=rows))


def downgrade() -> None:
    """Drop them: plans that were archived are sold again."""
    op.drop_table("archived_plan")
    op.drop_table("catalog_sync")

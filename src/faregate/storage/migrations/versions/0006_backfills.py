"""A new meter can be filled from events that were kept."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_INSTANT = sa.BigInteger
_UNITS = sa.BigInteger


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "backfill",
        sa.Column("backfill_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("meter_id", sa.Text, nullable=False),
        sa.Column("from_at", _INSTANT, nullable=False),
        sa.Column("to_at", _INSTANT, nullable=False),
        sa.Column("through", _UNITS, nullable=False),
        sa.Column("position", _UNITS, nullable=False),
        sa.Column("total", _UNITS, nullable=False),
        sa.Column("read", _UNITS, nullable=False),
        sa.Column("counted", _UNITS, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT),
    )
    op.create_index("backfill_meter", "backfill", ["meter_id"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("backfill")

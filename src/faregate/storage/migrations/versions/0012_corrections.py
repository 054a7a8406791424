"""Events that were cancelled or corrected."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_INSTANT = sa.BigInteger
_UNITS = sa.BigInteger


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "correction",
        sa.Column("position", _UNITS, primary_key=True, autoincrement=False),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("correction_id", sa.Text, nullable=False),
        sa.Column("event_position", _UNITS, nullable=False, unique=True),
        sa.Column("replacement_position", _UNITS, unique=True),
        sa.Column("company_id", sa.Text),
        sa.Column("occurred_at", _INSTANT, nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("applied_at", _INSTANT),
        sa.UniqueConstraint("application_id", "correction_id"),
    )
    op.create_index("correction_time", "correction", ["application_id", "occurred_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("correction")

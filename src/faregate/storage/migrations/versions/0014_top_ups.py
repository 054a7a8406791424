"""Accounts can top themselves up: the terms, and each payment."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_INSTANT = sa.BigInteger
_UNITS = sa.BigInteger


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "auto_top_up",
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("below", _UNITS, nullable=False),
        sa.Column("amount", _UNITS, nullable=False),
        sa.Column("most", _UNITS),
        sa.Column("cool_off_us", _UNITS, nullable=False),
        sa.Column("set_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "top_up",
        sa.Column("top_up_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("amount", _UNITS, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("failure", sa.Text),
        sa.Column("grant_id", sa.Text),
        sa.Column("began_at", _INSTANT, nullable=False),
        sa.Column("ended_at", _INSTANT),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("retry_at", _INSTANT),
    )
    op.create_index("top_up_subscription", "top_up", ["subscription_id", "top_up_id"])
    pending = sa.text("status = 'pending'")
    op.create_index(
        "top_up_pending", "top_up", ["subscription_id"], unique=True, sqlite_where=pending, postgresql_where=pending
    )


def downgrade() -> None:
    """Refuse: older code would leave payments under way."""
    raise NotImplementedError("top-ups cannot be undone; restore a backup instead")

"""Limits, and what is used of them."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_INSTANT = sa.BigInteger


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "usage_limit",
        sa.Column("limit_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("subject_id", sa.Text),
        sa.Column("plan_id", sa.Text),
        sa.Column("measure", sa.Text, nullable=False),
        sa.Column("currency", sa.Text),
        sa.Column("meter_id", sa.Text),
        sa.Column("per", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("hard", sa.Boolean, nullable=False),
        sa.Column("routes", sa.Text, nullable=False),
        sa.Column("alert_at", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("application_id", "name"),
    )
    op.create_table(
        "limit_use",
        sa.Column("limit_id", sa.Text, primary_key=True),
        sa.Column("subject_id", sa.Text, primary_key=True),
        sa.Column("period_start", _INSTANT, primary_key=True),
        sa.Column("period_end", _INSTANT, nullable=False),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("used", sa.Text, nullable=False),
        sa.Column("reached", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("limit_use")
    op.drop_table("usage_limit")

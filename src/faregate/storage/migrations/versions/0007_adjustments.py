"""What invoiced periods came to, and what adjusts them later."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_INSTANT = sa.BigInteger
_UNITS = sa.BigInteger
_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "price_bill",
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("price_id", sa.Text, primary_key=True),
        sa.Column("period_start", _INSTANT, primary_key=True),
        sa.Column("owed", _UNITS, nullable=False),
        sa.Column("billed", _UNITS, nullable=False),
        sa.Column("rounding", _UNITS, nullable=False),
    )
    op.create_table(
        "adjustment",
        sa.Column("adjustment_id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("price_id", sa.Text, nullable=False),
        sa.Column("period_start", _INSTANT, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("source_id", sa.Text, nullable=False),
        sa.Column("quantity", sa.Text, nullable=False),
        sa.Column("amount", _UNITS, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("billed_in", _INSTANT),
        sa.UniqueConstraint("subscription_id", "price_id", "period_start", "source", "source_id"),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("adjustment")
    op.drop_table("price_bill")

"""Coupons, what subscriptions were given of them, and what they took off invoices."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_INSTANT = sa.BigInteger
_UNITS = sa.BigInteger
_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "invoice_discount",
        sa.Column("invoice_id", sa.Text, primary_key=True),
        sa.Column("redemption_id", sa.Text, primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("coupon_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("amount", _UNITS, nullable=False),
    )
    op.create_table(
        "coupon",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("coupon_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("percent", sa.Text),
        sa.Column("amount", _UNITS),
        sa.Column("currency", sa.Text),
        sa.Column("periods", sa.Integer),
        sa.Column("redeem_by", _INSTANT),
        sa.Column("max_redemptions", sa.Integer),
        sa.Column("redemptions", sa.Integer, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("archived_at", _INSTANT),
    )
    op.create_table(
        "redemption",
        sa.Column("place", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("redemption_id", sa.Text, nullable=False, unique=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("coupon_id", sa.Text, nullable=False),
        sa.Column("caller_id", sa.Text, nullable=False),
        sa.Column("used", sa.Integer, nullable=False),
        sa.Column("given_at", _INSTANT, nullable=False),
        sa.Column("removed_at", _INSTANT),
        sa.UniqueConstraint("subscription_id", "caller_id"),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("redemption")
    op.drop_table("coupon")
    op.drop_table("invoice_discount")

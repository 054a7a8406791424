"""Prices and meters can be put right: replacements of versions, what meters counted before, and re-ratings."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_INSTANT = sa.BigInteger
_UNITS = sa.BigInteger
_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "price_replacement",
        sa.Column("price_id", sa.Text, primary_key=True),
        sa.Column("replaces", sa.Text, nullable=False),
        sa.Column("from_at", _INSTANT, nullable=False),
        sa.Column("to_at", _INSTANT),
        sa.Column("rerating_id", sa.Text, nullable=False),
    )
    op.create_table(
        "meter_change",
        sa.Column("change_id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("meter_id", sa.Text, nullable=False),
        sa.Column("position", _UNITS, nullable=False),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("from_at", _INSTANT),
        sa.Column("to_at", _INSTANT),
        sqlite_autoincrement=True,
    )
    op.create_index("meter_change_meter", "meter_change", ["meter_id"])
    op.create_table(
        "rerating",
        sa.Column("rerating_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("series_id", sa.Text, nullable=False),
        sa.Column("meter_id", sa.Text),
        sa.Column("price_id", sa.Text),
        sa.Column("before", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("from_at", _INSTANT, nullable=False),
        sa.Column("to_at", _INSTANT),
        sa.Column("through", _UNITS, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("position", _UNITS),
        sa.Column("done_through", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("started_at", _INSTANT),
        sa.Column("applied_at", _INSTANT),
    )
    op.create_index("rerating_series", "rerating", ["series_id", "status"])
    op.create_table(
        "rerating_difference",
        sa.Column("rerating_id", sa.Text, primary_key=True),
        sa.Column("company_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("period_start", _INSTANT, primary_key=True),
        sa.Column("period_end", _INSTANT, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("is_invoiced", sa.Boolean, nullable=False),
        sa.Column("quantity_before", sa.Text, nullable=False),
        sa.Column("quantity_after", sa.Text, nullable=False),
        sa.Column("amount_before", _UNITS, nullable=False),
        sa.Column("amount_after", _UNITS, nullable=False),
    )


def downgrade() -> None:
    """Refuse: older code would take a replacement for a version of its own."""
    raise NotImplementedError("re-ratings cannot be undone; restore a backup instead")

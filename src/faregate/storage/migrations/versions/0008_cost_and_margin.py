"""What calls cost upstream, and the margin of every day."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_INSTANT = sa.BigInteger
_UNITS = sa.BigInteger


def upgrade() -> None:
    """Make the tables, and an index of the few ledger entries that are not usage."""
    op.create_table(
        "cost_price",
        sa.Column("cost_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("effective_at", _INSTANT, nullable=False),
        sa.Column("ends_at", _INSTANT),
        sa.Column("created_at", _INSTANT, nullable=False),
    )
    op.create_index("cost_price_name", "cost_price", ["application_id", "name"])
    op.create_table(
        "margin_day",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("day_at", _INSTANT, primary_key=True, autoincrement=False),
        sa.Column("company_id", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, primary_key=True),
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("route", sa.Text, primary_key=True),
        sa.Column("currency", sa.Text, primary_key=True),
        sa.Column("event_count", _UNITS, nullable=False),
        sa.Column("uncosted_count", _UNITS, nullable=False),
        sa.Column("revenue", _UNITS, nullable=False),
        sa.Column("uncosted_revenue", _UNITS, nullable=False),
        sa.Column("cost", _UNITS, nullable=False),
        sa.Column("cost_rest", _UNITS, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "margin_redo",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("day_at", _INSTANT, primary_key=True, autoincrement=False),
        sa.Column("through", _UNITS),
        sa.Column("after_us", _UNITS, nullable=False),
        sa.Column("after_position", _UNITS, nullable=False),
    )
    beside_usage = sa.text("kind != 'debit'")
    op.create_index(
        "ledger_entry_beside_usage",
        "ledger_entry",
        ["application_id", "occurred_at"],
        sqlite_where=beside_usage,
        postgresql_where=beside_usage,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ledger_entry_beside_usage", "ledger_entry")
    op.drop_table("margin_redo")
    op.drop_table("margin_day")
    op.drop_table("cost_price")

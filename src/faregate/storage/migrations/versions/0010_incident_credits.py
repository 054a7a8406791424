"""Calls of an incident can be credited back."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_INSTANT = sa.BigInteger
_UNITS = sa.BigInteger


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "incident",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("incident_id", sa.Text, primary_key=True),
        sa.Column("filter", sa.Text, nullable=False),
        sa.Column("from_at", _INSTANT, nullable=False),
        sa.Column("to_at", _INSTANT, nullable=False),
        sa.Column("percent", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("through", _UNITS, nullable=False),
        sa.Column("after_us", _UNITS, nullable=False),
        sa.Column("after_position", _UNITS, nullable=False),
        sa.Column("matched", _UNITS, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("applied_at", _INSTANT),
        sa.Column("undone_at", _INSTANT),
    )
    op.create_table(
        "incident_line",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("incident_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("price_id", sa.Text, primary_key=True),
        sa.Column("period_start", _INSTANT, primary_key=True, autoincrement=False),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("calls", _UNITS, nullable=False),
        sa.Column("quantity", sa.Text, nullable=False),
        sa.Column("charged", _UNITS, nullable=False),
        sa.Column("already_credited", _UNITS, nullable=False),
        sa.Column("credit", _UNITS, nullable=False),
        sa.Column("entry_id", _UNITS),
        sa.Column("undo_entry_id", _UNITS),
    )
    op.create_index("incident_line_total", "incident_line", ["subscription_id", "price_id", "period_start"])
    op.create_table(
        "incident_call",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("incident_id", sa.Text, primary_key=True),
        sa.Column("position", _UNITS, primary_key=True, autoincrement=False),
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("credited", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    credited = sa.text("credited")
    op.create_index(
        "incident_call_once",
        "incident_call",
        ["position", "meter_id"],
        unique=True,
        sqlite_where=credited,
        postgresql_where=credited,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("incident_call")
    op.drop_table("incident_line")
    op.drop_table("incident")

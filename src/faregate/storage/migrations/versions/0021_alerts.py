"""Alerts, where they are delivered, and balances that are low."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

_INSTANT = sa.BigInteger
_SERIAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "alert",
        sa.Column("alert_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("subject_id", sa.Text, nullable=False),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("period_start", _INSTANT, nullable=False),
        sa.Column("period_end", _INSTANT),
        sa.Column("percent", sa.Integer),
        sa.Column("measured", sa.Text, nullable=False),
        sa.Column("amount", sa.Text, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
    )
    op.create_index("alert_source", "alert", ["source_id", "subject_id", "period_start"])
    op.create_table(
        "alert_destination",
        sa.Column("destination_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("application_id", "address"),
    )
    op.create_table(
        "alert_delivery",
        sa.Column("delivery_id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("alert_id", sa.Text, nullable=False),
        sa.Column("destination_id", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("retry_at", _INSTANT),
        sa.Column("delivered_at", _INSTANT),
        sa.Column("gave_up_at", _INSTANT),
        sa.Column("last_error", sa.Text),
        sa.UniqueConstraint("alert_id", "destination_id"),
        sqlite_autoincrement=True,
    )
    undelivered = sa.text("delivered_at IS NULL AND gave_up_at IS NULL")
    op.create_index(
        "alert_delivery_waiting",
        "alert_delivery",
        ["delivery_id"],
        sqlite_where=undelivered,
        postgresql_where=undelivered,
    )
    op.create_table(
        "balance_alert",
        sa.Column("balance_alert_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text),
        sa.Column("below_amount", sa.Text),
        sa.Column("currency", sa.Text),
        sa.Column("below_percent", sa.Integer),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("application_id", "name"),
    )
    op.create_table(
        "low_balance",
        sa.Column("balance_alert_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("since", _INSTANT, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("low_balance", "balance_alert", "alert_delivery", "alert_destination", "alert"):
        op.drop_table(table)

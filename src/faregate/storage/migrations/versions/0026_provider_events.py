"""Events of the billing provider, and up to when its list of them was read."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

_INSTANT = sa.BigInteger


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "provider_event",
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("is_live", sa.Boolean, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("received_at", _INSTANT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("retry_at", _INSTANT),
        sa.Column("worked_at", _INSTANT),
        sa.Column("failed_at", _INSTANT),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("last_error", sa.Text),
    )
    op.create_index("provider_event_newest", "provider_event", ["application_id", "received_at", "event_id"])
    unworked = sa.text("worked_at IS NULL AND failed_at IS NULL")
    op.create_index(
        "provider_event_waiting",
        "provider_event",
        ["received_at", "event_id"],
        sqlite_where=unworked,
        postgresql_where=unworked,
    )
    op.create_table(
        "provider_cursor",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("polled_to", _INSTANT, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("provider_cursor", "provider_event"):
        op.drop_table(table)

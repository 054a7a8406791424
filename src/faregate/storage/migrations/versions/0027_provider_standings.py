"""How invoices and subscriptions stand at the billing provider, ours and others of the same customers."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

_INSTANT = sa.BigInteger


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "provider_invoice",
        sa.Column("invoice_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("number", sa.Text),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("collection", sa.Text, nullable=False),
        sa.Column("amount_due", sa.BigInteger, nullable=False),
        sa.Column("amount_paid", sa.BigInteger, nullable=False),
        sa.Column("amount_remaining", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("due_at", _INSTANT),
        sa.Column("paid_at", _INSTANT),
        sa.Column("overdue_from", _INSTANT),
        sa.Column("page_url", sa.Text),
    )
    op.create_table(
        "provider_subscription",
        sa.Column("provider_subscription_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("overdue_from", _INSTANT),
        sa.Column("cancel_at", _INSTANT),
        sa.Column("ended_at", _INSTANT),
    )
    overdue = sa.text("overdue_from IS NOT NULL")
    for table in ("provider_invoice", "provider_subscription"):
        op.create_index(
            f"{table}_overdue",
            table,
            ["application_id", "overdue_from"],
            sqlite_where=overdue,
            postgresql_where=overdue,
        )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("provider_subscription", "provider_invoice"):
        op.drop_table(table)

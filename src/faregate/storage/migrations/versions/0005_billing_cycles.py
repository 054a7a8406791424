"""Subscriptions with a billing cycle of their own: time zone, calendar, trial, pauses, an end."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_INSTANT = sa.BigInteger


def upgrade() -> None:
    """Make the table anew: a column that is added to a table stands behind its constraints in SQLite's text."""
    op.execute("CREATE TABLE subscription_before AS SELECT * FROM subscription")
    op.drop_table("subscription")
    op.create_table(
        "subscription",
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("pays", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("payment_terms_s", sa.Integer, nullable=False),
        sa.Column("cycle", sa.Text, nullable=False, server_default=""),
        sa.Column("billed_until", _INSTANT, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("application_id", "company_id", "plan_id"),
    )
    kept = (
        "subscription_id, application_id, company_id, plan_id, pays, currency, started_at, payment_terms_s, "
        "billed_until, created_at"
    )
    op.execute(
        f"INSERT INTO subscription ({kept}) SELECT {kept} FROM subscription_before"  # noqa: S608 - names of ours
    )
    op.drop_table("subscription_before")


def downgrade() -> None:
    """Refuse: the older table cannot say when a period of today ends."""
    raise NotImplementedError("billing cycles cannot be undone; restore a backup instead")

"""Pages of the billing provider where credit and subscriptions are bought."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"

_INSTANT = sa.BigInteger


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "checkout",
        sa.Column("checkout_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("caller_id", sa.Text, nullable=False),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("pays", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("success_url", sa.Text, nullable=False),
        sa.Column("cancel_url", sa.Text, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text),
        sa.Column("url", sa.Text),
        sa.Column("expires_at", _INSTANT),
        sa.Column("grant_id", sa.Text),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("application_id", "caller_id"),
    )
    op.create_index("checkout_company", "checkout", ["application_id", "company_id", "checkout_id"])
    is_open = sa.text("phase = 'open'")
    op.create_index("checkout_open", "checkout", ["subscription_id"], sqlite_where=is_open, postgresql_where=is_open)


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("checkout")

"""Which of the billing provider's objects stands for which of ours."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "provider_link",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("our_id", sa.Text, primary_key=True),
        sa.Column("provider_id", sa.Text, nullable=False),
        sa.Column("linked_at", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "provider_link_object", "provider_link", ["account", "kind", "provider_id", "application_id"], unique=True
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("provider_link")

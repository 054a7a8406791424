"""Reconciliations that were run."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "reconciliation",
        sa.Column("reconciliation_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("checked_at", sa.BigInteger, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("reconciliation_last", "reconciliation", ["application_id", "reconciliation_id"])


def downgrade() -> None:
    """Forget them: they can be run again."""
    op.drop_table("reconciliation")

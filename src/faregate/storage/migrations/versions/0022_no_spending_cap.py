"""Spending caps are limits (0018): accounts have none of their own."""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Drop the column, in which nothing was ever written."""
    op.drop_column("account", "spending_cap")


def downgrade() -> None:
    """Refuse, as the migrations before do."""
    raise NotImplementedError("grants cannot be undone; restore a backup instead")

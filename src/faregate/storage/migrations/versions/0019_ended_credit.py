"""Movements beside burns are found by their entry: what expired, month by month."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Make the index."""
    op.create_index(
        "grant_movement_beside_burns",
        "grant_movement",
        ["entry_id"],
        sqlite_where=sa.text("is_burn = 0"),
        postgresql_where=sa.text("NOT is_burn"),
    )


def downgrade() -> None:
    """Refuse, as the migration before does."""
    raise NotImplementedError("grants cannot be undone; restore a backup instead")

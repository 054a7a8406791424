"""Find what is to be delivered without what failed for good, which stays for ever."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"

_DUE = sa.text("delivered_at IS NULL AND failed_at IS NULL")


def upgrade() -> None:
    """Index messages that wait and have not failed."""
    op.create_index(
        "outbox_due",
        "outbox",
        ["application_id", "subscription_id", "outbox_id"],
        sqlite_where=_DUE,
        postgresql_where=_DUE,
    )


def downgrade() -> None:
    """Forget the index."""
    op.drop_index("outbox_due", "outbox")

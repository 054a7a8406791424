"""When leases are granted again after a restore."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Add the moment; none: leases are granted."""
    op.add_column("application", sa.Column("leases_from", sa.BigInteger))


def downgrade() -> None:
    """Forget it: leases are granted at once."""
    op.drop_column("application", "leases_from")

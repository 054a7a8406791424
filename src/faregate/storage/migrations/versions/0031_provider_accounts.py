"""Which account of the billing provider's an application bills through."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    """Add the account and its mode; none: no key was used yet."""
    op.add_column("application", sa.Column("provider_account", sa.Text))
    op.add_column("application", sa.Column("provider_is_live", sa.Boolean))


def downgrade() -> None:
    """Forget them."""
    op.drop_column("application", "provider_is_live")
    op.drop_column("application", "provider_account")

"""What calls held and used is kept by route, price and day."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "bound_quality",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("route_id", sa.Text, primary_key=True),
        sa.Column("price_id", sa.Text, primary_key=True),
        sa.Column("day_at", sa.BigInteger, primary_key=True),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("held", sa.Text, nullable=False),
        sa.Column("used", sa.Text, nullable=False),
        sa.Column("overshoots", sa.BigInteger, nullable=False),
        sa.Column("clamped", sa.BigInteger, nullable=False),
        sa.Column("estimated", sa.BigInteger, nullable=False),
        sa.Column("by_step", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop the table: it holds statistics alone."""
    op.drop_table("bound_quality")

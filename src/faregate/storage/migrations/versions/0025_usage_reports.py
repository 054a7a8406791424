"""Reports of usage that fail for good, and are sent again."""

import json
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_WAITING = sa.text("delivered_at IS NULL")
_IS_USAGE = sa.text("usage_at IS NOT NULL")


def upgrade() -> None:
    """Add when usage is counted, and how and when a report failed; find what waits by its subscription."""
    for name in ("usage_at", "failed_at"):
        op.add_column("outbox", sa.Column(name, sa.BigInteger))
    op.add_column("outbox", sa.Column("failure", sa.Text))
    op.add_column("outbox", sa.Column("resends", sa.Integer, nullable=False, server_default="0"))
    op.drop_index("outbox_waiting", "outbox")
    op.create_index(
        "outbox_waiting",
        "outbox",
        ["subscription_id", "outbox_id"],
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )
    op.create_index(
        "outbox_usage", "outbox", ["application_id", "usage_at"], sqlite_where=_IS_USAGE, postgresql_where=_IS_USAGE
    )
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT outbox_id, payload FROM outbox WHERE kind = 'usage'")).all()
    for outbox_id, payload in rows:
        connection.execute(
            sa.text("UPDATE outbox SET usage_at = :at WHERE outbox_id = :of"),
            {"at": _microseconds(json.loads(payload)["timestamp"]), "of": outbox_id},
        )


def _microseconds(text: str) -> int:
    instant = datetime.fromisoformat(text).astimezone(UTC)
    since = instant - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def downgrade() -> None:
    """Refuse, as the migrations before do."""
    raise NotImplementedError("failed reports cannot be undone; restore a backup instead")

"""Usage in any metric: windows and totals keep states, days are added up, and events can be found by their time."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import sqlalchemy as sa
from alembic import op

from faregate.base.money import EXACT

revision = "0003"
down_revision = "0002"

_INSTANT = sa.BigInteger
_EXACT = sa.Text
_UNITS = sa.BigInteger
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SLICE = 1_000
_DAY_US = 86_400_000_000
_WINDOW = ("application_id", "company_id", "meter_id", "subscription_id", "start_at")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def upgrade() -> None:
    """Make the tables, and fill them from what is there: until now every meter was a sum."""
    _widen_windows()
    _add_up_days()
    op.create_table(
        "meter_total",
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("period_start", _INSTANT, primary_key=True),
        sa.Column("group_key", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
    )
    _find_admitted_events()


def downgrade() -> None:
    """Refuse: the older tables cannot say what a window of today holds."""
    raise NotImplementedError("usage states cannot be undone; restore a backup instead")


def _widen_windows() -> None:
    op.drop_index("usage_window_dirty", "usage_window")
    # A new table under the old name: a column that is added to a table stands behind its constraints in SQLite's text.
    op.execute("CREATE TABLE usage_window_before AS SELECT * FROM usage_window")
    op.drop_table("usage_window")
    op.create_table(
        "usage_window",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("company_id", sa.Text, primary_key=True),
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("start_at", _INSTANT, primary_key=True),
        sa.Column("group_key", sa.Text, primary_key=True),
        sa.Column("end_at", _INSTANT, nullable=False),
        sa.Column("period_start", _INSTANT, nullable=False),
        sa.Column("quantity", _EXACT, nullable=False),
        sa.Column("state", sa.Text),
        sa.Column("billed_quantity", _EXACT, nullable=False),
        sa.Column("event_count", _UNITS, nullable=False),
        sa.Column("reported_quantity", _EXACT, nullable=False),
        sa.Column("reported_revision", sa.Integer, nullable=False),
        sa.Column("dirty", sa.Boolean, nullable=False),
    )
    op.create_index("usage_window_dirty", "usage_window", ["dirty", "end_at"])
    kept = (
        "application_id, company_id, meter_id, subscription_id, start_at, end_at, period_start, quantity, event_count, "
        "reported_quantity, reported_revision, dirty"
    )
    op.execute(
        f"INSERT INTO usage_window ({kept}, group_key, billed_quantity) "  # noqa: S608 - names of ours
        f"SELECT {kept}, '', quantity FROM usage_window_before"
    )
    op.drop_table("usage_window_before")


def _add_up_days() -> None:
    days = op.create_table(
        "usage_day",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("company_id", sa.Text, primary_key=True),
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("start_at", _INSTANT, primary_key=True),
        sa.Column("group_key", sa.Text, primary_key=True),
        sa.Column("end_at", _INSTANT, nullable=False),
        sa.Column("quantity", _EXACT, nullable=False),
        sa.Column("state", sa.Text),
        sa.Column("event_count", _UNITS, nullable=False),
        sqlite_with_rowid=False,
    )
    rows = op.get_bind().execute(
        sa.text(
            "SELECT application_id, company_id, meter_id, start_at, end_at, quantity, event_count FROM usage_window "
            "ORDER BY application_id, company_id, meter_id, start_at"
        )
    )
    added: dict[tuple[str, str, str, int], dict[str, object]] = {}
    for row in rows.mappings():
        start = row["start_at"] // _DAY_US * _DAY_US
        key = (row["application_id"], row["company_id"], row["meter_id"], start)
        day = added.setdefault(
            key,
            {
                **{name: row[name] for name in ("application_id", "company_id", "meter_id")},
                "start_at": start,
                "group_key": "",
                "end_at": start + _DAY_US,
                "quantity": "0",
                "state": None,
                "event_count": 0,
            },
        )
        day["end_at"] = max(int(str(day["end_at"])), row["end_at"])
        day["quantity"] = f"{EXACT.add(Decimal(str(day['quantity'])), Decimal(row['quantity'])):f}"
        day["event_count"] = int(str(day["event_count"])) + row["event_count"]
    if added:
        op.bulk_insert(days, list(added.values()))


def _find_admitted_events() -> None:
    found = op.create_table(
        "admitted_event",
        sa.Column("position", _SERIAL, primary_key=True, autoincrement=False),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("company_id", sa.Text),
        sa.Column("occurred_at", _INSTANT, nullable=False),
    )
    op.create_index("admitted_event_time", "admitted_event", ["application_id", "occurred_at"])
    connection = op.get_bind()
    users = connection.execute(sa.text("SELECT application_id, user_id, company_id FROM customer_user"))
    companies = {(row.application_id, row.user_id): row.company_id for row in users}
    positions = sorted(
        connection.execute(
            sa.text("SELECT position FROM event_identity WHERE position NOT IN (SELECT position FROM set_aside)")
        ).scalars()
    )
    events = sa.text("SELECT position, application_id, body FROM event_log WHERE position BETWEEN :first AND :last")
    for start in range(0, len(positions), _SLICE):
        wanted = positions[start : start + _SLICE]
        rows = connection.execute(events, {"first": wanted[0], "last": wanted[-1]}).all()
        chosen = set(wanted)
        op.bulk_insert(
            found,
            [
                _admitted(row.position, row.application_id, row.body, companies=companies)
                for row in rows
                if row.position in chosen
            ],
        )


def _admitted(
    position: int, application_id: str, body: bytes, *, companies: dict[tuple[str, str], str]
) -> dict[str, object]:
    sent = json.loads(bytes(body))
    at = datetime.fromisoformat(sent["request"]["time"])
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    own = sent.get("company_id")
    return {
        "position": position,
        "application_id": application_id,
        "company_id": own or companies.get((application_id, sent.get("user_id") or "")),
        "occurred_at": (at - _EPOCH) // timedelta(microseconds=1),
    }

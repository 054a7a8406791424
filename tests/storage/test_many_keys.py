"""A statement has room for some thousand parameters: more keys than that are asked for in parts."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from faregate.base.periods import Period
from faregate.storage.database import Database
from faregate.storage.ledger import TotalKey, empty_total, lock_accounts, read_totals, write_totals
from faregate.storage.metered import read_subscriptions
from faregate.storage.schema import migrate
from faregate.storage.usage_states import MeterTotalKey, delete_meter_totals

MARCH = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
KEYS = [TotalKey("sub_1", f"prc_{number}", MARCH.start) for number in range(12_000)]


def test_totals_and_states_of_very_many_keys_are_read_and_forgotten(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    try:
        with database.begin() as transaction:
            migrate(transaction)
            last = empty_total("sub_1", KEYS[-1].price_id, MARCH)
            last.settled = Decimal(3)
            write_totals(transaction, [last])
            assert list(read_totals(transaction, KEYS)) == [KEYS[-1]]
            states = [MeterTotalKey("sub_1", "mtr_1", MARCH.start + timedelta(n), "") for n in range(12_000)]
            delete_meter_totals(transaction, states)
    finally:
        database.close()


def test_nothing_is_asked_where_there_are_no_keys(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    try:
        # Without a table, any statement would fail.
        with database.begin() as transaction:
            assert read_totals(transaction, []) == {}
            assert read_subscriptions(transaction, []) == {}
            assert lock_accounts(transaction, []) == {}
    finally:
        database.close()

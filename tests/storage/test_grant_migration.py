"""Grants given before they were kept one by one."""

from contextlib import closing

from sqlalchemy import text

from faregate.storage.credit import list_grants
from faregate.storage.database import Database
from faregate.storage.schema import migrate
from tests.storage.test_price_migration import migrate_to

_ENTRY = (
    "INSERT INTO ledger_entry (application_id, subscription_id, kind, amount, caller_id, description, occurred_at)"
    " VALUES ('app_1', :of, :kind, :amount, :caller_id, '', 0)"
)
_GRANT = (
    "INSERT INTO credit_grant (grant_id, application_id, subscription_id, amount, kind, description, caller_id,"
    " created_at) VALUES (:grant_id, 'app_1', :of, 10, :kind, 'words', :grant_id, 7)"
)
_ACCOUNT = (
    "INSERT INTO account (subscription_id, application_id, balance, reserved, exhausted)"
    " VALUES (:of, 'app_1', :balance, 0, false)"
)


def test_what_usage_had_taken_burns_in_order_and_movements_add_up(empty_database_url: str) -> None:
    with closing(Database(empty_database_url)) as database:
        with database.begin() as transaction:
            migrate_to(transaction, "0015")
            for of, balance in (("sub_1", 7), ("sub_2", -3), ("sub_3", 10)):
                transaction.execute(text(_ACCOUNT), {"of": of, "balance": balance})
            for of, grant_id, kind in (
                ("sub_1", "grn_1", "paid"),
                ("sub_1", "grn_2", "promotional"),
                ("sub_2", "grn_3", "paid"),
                ("sub_3", "grn_4", "paid"),
            ):
                transaction.execute(text(_GRANT), {"of": of, "grant_id": grant_id, "kind": kind})
                entry = {"of": of, "kind": "grant", "amount": 10, "caller_id": f"grant:{grant_id}"}
                transaction.execute(text(_ENTRY), entry)
            for of in ("sub_1", "sub_2"):
                transaction.execute(text(_ENTRY), {"of": of, "kind": "debit", "amount": -13, "caller_id": "debit"})
            migrate(transaction)
        with database.snapshot() as transaction:
            kept = [row.kept for of in ("sub_1", "sub_2", "sub_3") for row in list_grants(transaction, of)]
            assert [(row.grant.grant_id, row.remaining, row.burnt) for row in kept] == [
                ("grn_1", 7, 3),
                ("grn_2", 0, 10),
                ("grn_3", 0, 10),
                ("grn_4", 10, 0),
            ]
            assert [row.is_live for row in kept] == [True, False, False, True]
            sums = transaction.execute(
                text("SELECT grant_id, CAST(sum(amount) AS INTEGER) FROM grant_movement GROUP BY 1 ORDER BY 1")
            )
            assert [tuple(row) for row in sums] == [("grn_1", 7), ("grn_2", 0), ("grn_3", 0), ("grn_4", 10)]
            assert {row.kept.description for row in list_grants(transaction, "sub_1")} == {"words"}

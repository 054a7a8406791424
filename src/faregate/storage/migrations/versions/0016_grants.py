"""Grants keep what is left of them, and every entry says which grants it moved."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_INSTANT = sa.BigInteger
_UNITS = sa.BigInteger


def upgrade() -> None:
    """Make the columns and tables; what was used of grants so far burns, in their order, by one entry of nothing."""
    connection = op.get_bind()
    grants = [row._asdict() for row in connection.execute(sa.text("SELECT * FROM credit_grant ORDER BY grant_id"))]
    _change_accounts()
    _make_tables()
    posted = connection.execute(sa.text("SELECT caller_id, entry_id FROM ledger_entry WHERE kind = 'grant'"))
    entries = {row.caller_id: row.entry_id for row in posted}
    by_account: dict[str, list[dict[str, Any]]] = {}
    for row in grants:
        by_account.setdefault(row["subscription_id"], []).append(row)
    for subscription_id, given in by_account.items():
        for row in given:
            row["entry_id"] = entries.get(f"grant:{row['grant_id']}")
        _bring(connection, subscription_id, given)


def downgrade() -> None:
    """Refuse: older code would post entries that no grant knows of."""
    raise NotImplementedError("grants cannot be undone; restore a backup instead")


def _change_accounts() -> None:
    op.add_column("account", sa.Column("overdraft", _UNITS, nullable=False, server_default="0"))
    op.add_column("account", sa.Column("spending_cap", _UNITS))
    op.add_column("account", sa.Column("next_border_at", _INSTANT))
    has_border = sa.text("next_border_at IS NOT NULL")
    op.create_index(
        "account_border",
        "account",
        ["application_id", "next_border_at"],
        sqlite_where=has_border,
        postgresql_where=has_border,
    )


def _make_tables() -> None:
    op.drop_table("credit_grant")
    op.create_table(
        "credit_grant",
        sa.Column("grant_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("amount", _UNITS, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("caller_id", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("effective_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT),
        sa.Column("voided_at", _INSTANT),
        sa.Column("recurrence", sa.Text, nullable=False),
        sa.Column("rolls_over", _UNITS, nullable=False),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("remaining", _UNITS, nullable=False),
        sa.Column("burnt", _UNITS, nullable=False),
        sa.Column("recurred_at", _INSTANT),
        sa.Column("is_live", sa.Boolean, nullable=False),
        sa.UniqueConstraint("subscription_id", "caller_id"),
    )
    is_live = sa.text("is_live")
    op.create_index(
        "credit_grant_live", "credit_grant", ["subscription_id"], sqlite_where=is_live, postgresql_where=is_live
    )
    op.create_table(
        "grant_movement",
        sa.Column("grant_id", sa.Text, primary_key=True),
        sa.Column("entry_id", _UNITS, primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("amount", _UNITS, nullable=False),
        sa.Column("is_burn", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    is_open = sa.text("is_open")
    op.create_index("lease_account", "lease", ["subscription_id"], sqlite_where=is_open, postgresql_where=is_open)


def _bring(connection: sa.Connection, subscription_id: str, given: Sequence[dict[str, Any]]) -> None:
    balance = connection.execute(
        sa.text("SELECT balance FROM account WHERE subscription_id = :subscription_id"),
        {"subscription_id": subscription_id},
    ).scalar_one()
    burnt = sum(row["amount"] for row in given) - max(balance, 0)
    order = sorted(given, key=lambda row: (row["kind"] == "paid", row["created_at"], row["grant_id"]))
    movements = []
    for row in order:
        row["burnt"] = max(0, min(row["amount"], burnt))
        burnt -= row["burnt"]
        row["remaining"] = row["amount"] - row["burnt"]
        if row["entry_id"] is not None:
            movements.append(_movement(row, row["entry_id"], row["amount"], is_burn=False))
    if any(row["burnt"] for row in order):
        entry_id = _insert_entry(connection, order[-1])
        movements += [_movement(row, entry_id, -row["burnt"], is_burn=True) for row in order if row["burnt"]]
    connection.execute(_INSERT_GRANT, [{**row, "is_live": row["remaining"] != 0} for row in order])
    if movements:
        connection.execute(_INSERT_MOVEMENT, movements)


def _movement(row: dict[str, Any], entry_id: int, amount: int, *, is_burn: bool) -> dict[str, object]:
    return {"grant_id": row["grant_id"], "entry_id": entry_id, "amount": amount, "is_burn": is_burn}


def _insert_entry(connection: sa.Connection, row: dict[str, Any]) -> int:
    statement = sa.text(
        "INSERT INTO ledger_entry (application_id, subscription_id, kind, amount, caller_id, description, occurred_at)"
        " VALUES (:application_id, :subscription_id, 'adjust', 0, 'burns-so-far',"
        " 'what usage had taken of grants when they began to be kept one by one', :created_at) RETURNING entry_id"
    )
    return int(connection.execute(statement, row).scalar_one())


_INSERT_GRANT = sa.text(
    "INSERT INTO credit_grant (grant_id, application_id, subscription_id, amount, kind, description, caller_id,"
    " created_at, priority, effective_at, recurrence, rolls_over, phase, remaining, burnt, is_live)"
    " VALUES (:grant_id, :application_id, :subscription_id, :amount, :kind, :description, :caller_id, :created_at, 0,"
    " :created_at, '', 0, 'active', :remaining, :burnt, :is_live)"
)
_INSERT_MOVEMENT = sa.text(
    "INSERT INTO grant_movement (grant_id, entry_id, place, amount, is_burn)"
    " VALUES (:grant_id, :entry_id, 0, :amount, :is_burn)"
)

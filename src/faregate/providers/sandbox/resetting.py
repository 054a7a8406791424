"""Starting afresh: everything the account has, or the objects of some kinds."""

from __future__ import annotations

from collections.abc import Sequence

from faregate.providers.sandbox.faults import refused
from faregate.providers.sandbox.store import Store


def reset(store: Store, kinds: Sequence[str] | None = None) -> int:
    """Forget all, answers kept for repeats and faults too, or what is of these kinds; return how much that was.

    A kind is an object's `object`, such as `price`, or a table of the file, such as `meter_event`.
    """
    tables = _tables(store)
    if kinds is None:
        return sum(store.connection.execute(f'DELETE FROM "{table}"').rowcount for table in tables)  # noqa: S608 - our own names
    known = {row["kind"] for row in store.connection.execute("SELECT DISTINCT kind FROM object")}
    for kind in kinds:
        if kind not in known | tables:
            raise refused(f"There is nothing of the kind {kind}", param="kinds")
    forgotten = sum(_forget(store, kind, is_table=kind in tables) for kind in kinds)
    for table, column in (("delivery", "event"), ("signing_secret", "receiver"), ("due", "id")):
        store.connection.execute(f"DELETE FROM {table} WHERE {column} NOT IN (SELECT id FROM object)")  # noqa: S608 - as above
    return forgotten


def _forget(store: Store, kind: str, *, is_table: bool) -> int:
    if is_table:
        return store.connection.execute(f'DELETE FROM "{kind}"').rowcount  # noqa: S608 - one of our own names
    store.connection.execute("DELETE FROM found_by WHERE kind = ?", (kind,))
    return store.connection.execute("DELETE FROM object WHERE kind = ?", (kind,)).rowcount


def _tables(store: Store) -> set[str]:
    rows = store.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {row["name"] for row in rows}

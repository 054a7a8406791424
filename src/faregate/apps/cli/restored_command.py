"""`faregate restored`. It imports what it runs when it runs."""

from __future__ import annotations

from faregate.apps.cli import options


def restored(*, data: options.Data = options.DATA, database_url: options.DatabaseUrl = None) -> int:
    """Say that the database was put back to an earlier state: before the control plane is started again.

    Gateways hold leases, and have made calls, that such a database does not know of. They are told, send again what
    their spools keep, and get no credit until a minute is over. To be used after a backup was restored, and after a
    failover to a copy that may lack the last transactions.

    For example:

    ```
    faregate restored --data /var/lib/faregate
    ```
    """
    from contextlib import closing

    from faregate.apps.control.settings import database_url_of
    from faregate.base.clock import SystemClock
    from faregate.services.restored import SUSPENDED_FOR, note_restored
    from faregate.storage.database import Database
    from faregate.storage.schema import migrate

    with closing(Database(database_url_of(data, database_url))) as database, database.begin() as tx:
        migrate(tx)
        generation = note_restored(tx, SystemClock())
    print(
        f"The ledger is at generation {generation}; no credit is leased for {SUSPENDED_FOR.seconds} seconds from now."
    )
    return 0

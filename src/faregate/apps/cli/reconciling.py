"""`faregate reconcile`: a line for each difference between the ledger, the reports and the billing provider."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from faregate.apps.cli.answering import answered, print_json
from faregate.apps.cli.management import ask
from faregate.wire.api.reconciliations import ReconciliationRequest, ReconciliationView

_TIMEOUT: Final = timedelta(minutes=10)


def run_reconcile(*, from_at: datetime | None, to_at: datetime | None, api_url: str, token: str, json: bool) -> int:
    """Print what differs; return 0 where nothing does, else 1."""

    def run() -> ReconciliationView:
        body = msgspec.json.encode(ReconciliationRequest(from_at=from_at, to_at=to_at))
        return msgspec.json.decode(
            ask("POST", f"{api_url}/api/v1/reconciliation", token, body=body, timeout=_TIMEOUT),
            type=ReconciliationView,
        )

    return answered(
        run, api_url=api_url, show=print_json if json else _show, is_well=lambda found: not found.differences
    )


def _show(found: ReconciliationView) -> None:
    for row in found.differences:
        provider = "" if row.provider is None else f", the provider {row.provider}"
        names = "; ".join(" ".join(part) for part in (row.windows, row.reports, row.events) if part)
        print(
            f"{row.company_id} {row.price_id} {row.at:%Y-%m-%d %H:%M}: {row.kind.value}: the ledger has {row.ledger}, "
            f"reports {row.reported}, sent {row.sent}{provider}" + (f" ({names})" if names else "")
        )
    if found.more_differences:
        print(f"... and {found.more_differences} more.")
    count = len(found.differences) + found.more_differences
    print(
        f"{found.windows} windows of {found.customers} customers, {found.from_at:%Y-%m-%d %H:%M} to "
        f"{found.to_at:%Y-%m-%d %H:%M} UTC: {f'{count} differences' if count else 'nothing differs'}."
    )

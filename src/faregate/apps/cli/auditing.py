"""`faregate audit`: a line for each figure that is not what the ledger makes it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from faregate.apps.cli.answering import answered, print_json
from faregate.apps.cli.management import ask
from faregate.wire.api.credit_reports import AuditDifferenceView, AuditView

_ACCOUNTS_AT_ONCE: Final = 500
_TIMEOUT: Final = timedelta(minutes=10)


def run_audit(*, api_url: str, token: str, json: bool) -> int:
    """Print what differs; return 0 where nothing does, else 1."""
    return answered(
        lambda: _read(f"{api_url}/api/v1/audit?limit={_ACCOUNTS_AT_ONCE}", token),
        api_url=api_url,
        show=print_json if json else _show,
        is_well=lambda found: not found.data,
    )


def _read(url: str, token: str) -> AuditView:
    accounts, differences, cursor = 0, list[AuditDifferenceView](), ""
    while True:
        part = msgspec.json.decode(ask("GET", f"{url}{cursor}", token, timeout=_TIMEOUT), type=AuditView)
        accounts += part.accounts
        differences += part.data
        if part.next_cursor is None:
            return AuditView(accounts=accounts, data=differences, next_cursor=None)
        cursor = f"&cursor={part.next_cursor}"


def _show(found: AuditView) -> None:
    for row in found.data:
        of = f" of {row.of}" if row.of else ""
        print(f"{row.subscription_id}: {row.figure}{of} is {row.kept}; the ledger makes it {row.rebuilt}")
    verdict = f"{len(found.data)} figures differ" if found.data else "nothing differs"
    print(f"{found.accounts} accounts audited: {verdict}.")

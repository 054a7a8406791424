"""Plays a trace: a stack of its own, the clock of the trace, every call, every month's invoice, and the comparison."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from faregate.apps.story.calling import Caller, loopback_client
from faregate.apps.story.customers import Customer, add_customer, price_names
from faregate.apps.story.management import Management
from faregate.apps.story.replaying.books import MonthBooks, month_name
from faregate.apps.story.replaying.months import by_month, month_after, month_of
from faregate.apps.story.replaying.pace import Speed
from faregate.apps.story.replaying.sending import Sender, Sent
from faregate.apps.story.seed import INPUT_METER, seed_catalog
from faregate.apps.story.stack import running_stack
from faregate.apps.story.trace import TracedCall
from faregate.base.errors import Unavailable
from faregate.base.limits import MAX_PAGE_ROWS
from faregate.domain.billing.invoice import InvoiceStatus
from faregate.wire.api.billing import ClockView, InvoiceView
from faregate.wire.api.catalog_document import CatalogApplied
from faregate.wire.api.common import Page
from faregate.wire.api.meters import MeterView
from faregate.wire.api.readings import LedgerEntryView, UsageView

COMPANY: Final = "traced"

_AFTER_MONTH: Final = timedelta(minutes=2)
"""Beyond the grace after which a period is closed."""

_NO_PROGRESS_S: Final = 20.0
_INVOICED_WITHIN_S: Final = 60.0
_KNOWN_WITHIN_S: Final = 15.0
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A trace's calls in order, and how they are to be sent."""

    calls: Sequence[TracedCall]
    speed: Speed
    concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """Who watches: `begun` is told what is going on, `progressed` is called as each call ends."""

    begun: Callable[[str], None]
    progressed: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came of a replay: the answers, and the books by month."""

    sent: Sent
    books: dict[str, MonthBooks]


async def play_trace(replay: Replay, data: Path, watcher: Watcher) -> Played:
    """Replay a trace in the new folder `data`.

    Raises:
        FaregateError: A process did not start or did not answer.
    """
    first = month_of(replay.calls[0].occurred_at)
    async with (
        loopback_client() as client,
        running_stack(client, data=data, starts_at=first, show=watcher.begun) as stack,
    ):
        management = Management(client, origin=stack.api, token=stack.api_token)
        catalog = seed_catalog(upstream_url=f"{stack.upstream}/v1")
        await management.post("/catalog/apply", {"catalog": catalog}, CatalogApplied)
        customer = await add_customer(
            management, company_id=COMPANY, name="A replayed trace", pays="postpaid", started_at=first, replay=True
        )
        if not await Caller(client, gateway=stack.gateway, key=customer.key).known(within_s=_KNOWN_WITHIN_S):
            raise Unavailable("the gateway did not hear of the replay's key in time")
        sender = Sender(
            client,
            gateway=stack.gateway,
            key=customer.key,
            concurrency=replay.concurrency,
            progressed=watcher.progressed,
        )
        books: dict[str, MonthBooks] = {}
        for month, calls in by_month(replay.calls):
            before = sender.sent.answered
            watcher.begun(f"replaying {month:%Y-%m}")
            await sender.send(calls, replay.speed)
            watcher.begun("waiting until every call is metered")
            await _all_metered(management, month, answered=sender.sent.answered - before)
            watcher.begun(f"closing {month:%Y-%m}")
            name = month_name(month.year, month.month)
            books[name] = await _close_month(management, month, earlier=books)
        watcher.begun("reading the books")
        await _read_invoices(management, books)
        await _read_debits(management, customer, books)
        watcher.begun("stopping")
    return Played(sent=sender.sent, books=books)


async def _all_metered(management: Management, month: datetime, *, answered: int) -> None:
    """Return when as many calls of a month are metered as were answered, or when their number no longer rises."""
    loop = asyncio.get_running_loop()
    metered, changed_at_s = -1, loop.time()
    while metered < answered and loop.time() - changed_at_s < _NO_PROGRESS_S:
        if metered >= 0:
            await asyncio.sleep(_POLL_S)
        _, _, calls = await _usage(management, month)
        if calls != metered:
            metered, changed_at_s = calls, loop.time()


async def _close_month(management: Management, month: datetime, *, earlier: dict[str, MonthBooks]) -> MonthBooks:
    """Read a month's usage, let the clock pass its end, and pay the invoice: an overdue one would block the rest."""
    tokens_in, tokens_out, calls = await _usage(management, month)
    kept = MonthBooks(
        month=month_name(month.year, month.month), calls=calls, tokens_in=tokens_in, tokens_out=tokens_out
    )
    await management.post("/clock/advance", {"to": month_after(month) + _AFTER_MONTH}, ClockView)
    invoiced = sum(1 for each in (*earlier.values(), kept) if each.tokens_in or each.tokens_out)
    await management.until(
        "/invoices",
        Page[InvoiceView],
        reached=lambda page: len(page.data) >= invoiced,
        within_s=_INVOICED_WITHIN_S,
        query={"limit": str(MAX_PAGE_ROWS)},
    )
    for invoice in await management.every("/invoices", InvoiceView):
        if invoice.status is InvoiceStatus.OPEN:
            await management.post(f"/invoices/{invoice.invoice_id}/pay", {}, InvoiceView)
    return kept


async def _read_invoices(management: Management, books: dict[str, MonthBooks]) -> None:
    for invoice in await management.every("/invoices", InvoiceView):
        name = month_name(invoice.period_start.year, invoice.period_start.month)
        kept = books.setdefault(name, MonthBooks(month=name))
        kept.invoice, kept.status = invoice.number, invoice.status.value
        kept.invoiced += Decimal(invoice.total)


async def _read_debits(management: Management, customer: Customer, books: dict[str, MonthBooks]) -> None:
    """Add up what the ledger took for each price, by month."""
    prices = await price_names(management)
    for entry in await management.every(f"/subscriptions/{customer.subscription_id}/ledger", LedgerEntryView):
        if entry.price_id is None or entry.period_start is None:
            continue
        name = month_name(entry.period_start.year, entry.period_start.month)
        debits = books.setdefault(name, MonthBooks(month=name)).debits
        price = prices[entry.price_id]
        debits[price] = debits.get(price, Decimal("0.00")) - Decimal(entry.amount)


async def _usage(management: Management, month: datetime) -> tuple[int, int, int]:
    """Return tokens in, tokens out and calls of a month; the meter of the input counts the calls."""
    meters = {meter.meter_id: meter.name for meter in await management.every("/meters", MeterView)}
    asked = {
        "company_id": COMPANY,
        "granularity": "total",
        "from": month.isoformat(),
        "to": month_after(month).isoformat(),
    }
    tokens_in, tokens_out, calls = 0, 0, 0
    for row in await management.every("/usage", UsageView, asked):
        if meters[row.meter_id] == INPUT_METER:
            tokens_in, calls = tokens_in + int(row.quantity), calls + row.event_count
        else:
            tokens_out += int(row.quantity)
    return tokens_in, tokens_out, calls

"""Meter events that were taken and then found wrong: their usage is lost, and a thin event reports it.

One report for each meter, with errors by code; what is wrong with an event names the idempotency key that its request
had, and nothing else of it (docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api).
"""

from __future__ import annotations

from collections.abc import Iterable
from sqlite3 import Row
from typing import Final, Self

from faregate.providers.sandbox.asking import Sandbox, iso
from faregate.providers.sandbox.faults import Json, StripeFault

REPORTED: Final = "v1.billing.meter.error_report_triggered"
NO_METER: Final = "v1.billing.meter.no_meter_found"

_MOST: Final = 100
"""Errors of one report: all of them are among its samples."""


class UnfitEvent(StripeFault):
    """A meter event that cannot count: `report` is the code that reports give it, `meter` is empty where none is."""

    def __init__(self, message: str, *, report: str, meter: str, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.report = report
        self.meter = meter

    @classmethod
    def of(cls, fault: StripeFault, *, report: str, meter: str) -> Self:
        """Return the refusal of an event for what something that it names was refused for."""
        unfit = cls(fault.message, report=report, meter=meter, param=fault.param)
        unfit.status, unfit.code = fault.status, fault.code
        return unfit


def note(sandbox: Sandbox, unfit: UnfitEvent, *, request: str) -> None:
    """Write an error down for the next report; `request` is the idempotency key of the event's request."""
    sandbox.store.connection.execute(
        "INSERT INTO meter_error (meter, code, message, request, at) VALUES (?, ?, ?, ?, ?)",
        (unfit.meter, unfit.report, unfit.message, request, sandbox.now()),
    )
    sandbox.wake()


def report_errors(sandbox: Sandbox) -> int:
    """Report what was written down, in the caller's transaction; return how many errors that were."""
    connection, reported = sandbox.store.connection, 0
    while rows := connection.execute(
        "SELECT place, meter, code, message, request, at FROM meter_error"
        " WHERE meter = (SELECT min(meter) FROM meter_error) ORDER BY place LIMIT ?",
        (_MOST,),
    ).fetchall():
        _report(sandbox, rows)
        connection.executemany("DELETE FROM meter_error WHERE place = ?", [(row["place"],) for row in rows])
        reported += len(rows)
    return reported


def _report(sandbox: Sandbox, rows: list[Row]) -> None:
    codes: dict[str, list[Row]] = {}
    for row in rows:
        codes.setdefault(row["code"], []).append(row)
    count, meter = len(rows), rows[0]["meter"]
    data: Json = {
        "developer_message_summary": f"There {'is 1 invalid event' if count == 1 else f'are {count} invalid events'}",
        "reason": {"error_count": count, "error_types": [_type_of(code, found) for code, found in codes.items()]},
        "validation_end": iso(rows[-1]["at"] + 1),
        "validation_start": iso(rows[0]["at"]),
    }
    if meter:
        about = {"id": meter, "type": "billing.meter", "url": f"/v1/billing/meters/{meter}"}
        sandbox.tell_thin(REPORTED, about=about, data=data)
    else:
        sandbox.tell_thin(NO_METER, about=None, data=data)


def _type_of(code: str, rows: Iterable[Row]) -> Json:
    samples = [{"error_message": row["message"], "request": {"identifier": row["request"]}} for row in rows]
    return {"code": code, "error_count": len(samples), "sample_errors": samples}

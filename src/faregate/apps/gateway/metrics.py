"""Counters of the gateway: plain numbers on the hot path, Prometheus' text format when asked.

Source of the format: Prometheus documentation, "Exposition formats", text-based format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(slots=True)
class GatewayMetrics:
    """Everything that is counted. `requests` by (route, status), `refusals` by reason; the rest are totals.

    Overspend causes: `uncovered_units` were used above a call's hold with nothing idle to draw from; `finished_units`
    by streams that went on without credit, as their routes allow.
    """

    requests: dict[tuple[str, int], int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    holds: int = 0
    hold_waits: int = 0
    hold_wait_s: float = 0.0
    lease_requests: int = 0
    leases_granted: int = 0
    uncovered_units: int = 0
    calls_above_hold: int = 0
    estimated_calls: int = 0
    costs_unknown: int = 0
    attempts_repeated: int = 0
    streams_ended: int = 0
    streams_finished: int = 0
    finished_units: int = 0
    callers_gone: int = 0
    drains_cut: int = 0
    events_written: int = 0
    events_shipped: int = 0
    ship_failures: int = 0

    def answered(self, route: str, status: int) -> None:
        """Count an answer."""
        key = (route, status)
        self.requests[key] = self.requests.get(key, 0) + 1

    def refused(self, reason: str) -> None:
        """Count a call that did not go upstream."""
        self.refusals[reason] = self.refusals.get(reason, 0) + 1


def render(metrics: GatewayMetrics, gauges: Mapping[str, tuple[str, float]]) -> str:
    """Return all counters, and `gauges` (name: help, value), as Prometheus reads them."""
    lines = _family("requests_total", "counter", text="Answers by route and status", samples=_requests(metrics))
    lines += _family(
        "refusals_total", "counter", text="Calls that did not go upstream, by reason", samples=_refusals(metrics)
    )
    for name, text, value in (
        ("holds_total", "Calls that credit was held for", metrics.holds),
        ("hold_waits_total", "Holds that the memory alone could not give", metrics.hold_waits),
        ("hold_wait_seconds_total", "Time calls waited for a hold", metrics.hold_wait_s),
        ("lease_requests_total", "Requests to the ledger for units", metrics.lease_requests),
        ("leases_granted_total", "Leases the ledger granted", metrics.leases_granted),
        ("overspend_calls_above_hold_total", "Calls that used more than was held", metrics.calls_above_hold),
        ("overspend_uncovered_units_total", "Units used that no lease covered", metrics.uncovered_units),
        ("attempts_repeated_total", "Calls sent to an upstream once more", metrics.attempts_repeated),
        ("streams_ended_total", "Streams ended because their credit had ended", metrics.streams_ended),
        (
            "overspend_streams_finished_total",
            "Streams finished though their credit had ended",
            metrics.streams_finished,
        ),
        ("overspend_finished_units_total", "Units used by such streams that no lease covered", metrics.finished_units),
        ("estimated_calls_total", "Calls billed by an estimate", metrics.estimated_calls),
        ("costs_unknown_total", "Answers sent without their cost, on routes that say it", metrics.costs_unknown),
        ("callers_gone_total", "Callers who left in mid-answer", metrics.callers_gone),
        ("drains_cut_total", "Answers not read to their end after their caller left", metrics.drains_cut),
        ("events_written_total", "Events in the spool", metrics.events_written),
        ("events_shipped_total", "Events the control plane acknowledged", metrics.events_shipped),
        ("ship_failures_total", "Batches of events that were not acknowledged", metrics.ship_failures),
    ):
        lines += _family(name, "counter", text=text, samples=[("", value)])
    for name, (text, value) in gauges.items():
        lines += _family(name, "gauge", text=text, samples=[("", value)])
    return "\n".join(lines) + "\n"


def _requests(metrics: GatewayMetrics) -> Iterable[tuple[str, float]]:
    for (route, status), count in sorted(metrics.requests.items()):
        yield f'{{route="{route.translate(_ESCAPES)}",status="{status}"}}', count


def _refusals(metrics: GatewayMetrics) -> Iterable[tuple[str, float]]:
    for reason, count in sorted(metrics.refusals.items()):
        yield f'{{reason="{reason.translate(_ESCAPES)}"}}', count


def _family(name: str, kind: str, *, text: str, samples: Iterable[tuple[str, float]]) -> list[str]:
    full = f"faregate_gateway_{name}"
    return [
        f"# HELP {full} {text}.",
        f"# TYPE {full} {kind}",
        *(f"{full}{labels} {value}" for labels, value in samples),
    ]

"""`/metrics`, in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from faregate.apps.control.applying import Applying
from faregate.apps.control.asgi import Answer, Request
from faregate.apps.control.counters import Counters
from faregate.apps.control.gateway_watch import GatewayWatch
from faregate.apps.control.health import Health
from faregate.apps.control.intake import Intake
from faregate.apps.control.state_feed import StateFeed
from faregate.domain.billing.provider_usage import UsageFailure

_CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"

Samples = Iterable[tuple[Mapping[str, str], int | Decimal]]


class Metrics:
    """Reads the process' counters and gauges at the moment it is asked."""

    def __init__(
        self,
        *,
        counters: Counters,
        intake: Intake,
        applying: Applying,
        feed: StateFeed,
        health: Health,
        watch: GatewayWatch,
    ) -> None:
        self._counters = counters
        self._intake = intake
        self._applying = applying
        self._feed = feed
        self._health = health
        self._watch = watch

    async def show(self, request: Request) -> Answer:
        """Answer `GET /metrics`."""
        del request
        return Answer(status=200, body="".join(await self._families()).encode(), content_type=_CONTENT_TYPE)

    async def _families(self) -> list[str]:
        counters = self._counters
        head = await self._health.log_head()
        requests = [({"area": area, "status": str(status)}, n) for (area, status), n in counters.requests.items()]
        events = [({"source": source}, n) for source, n in counters.events_accepted.items()]
        leases = [({"outcome": outcome}, n) for outcome, n in counters.lease_answers.items()]
        bounds = [({"route_id": route, "price_id": price}, n) for (route, price), n in self._applying.bounds.items()]
        queued: Samples = [({}, self._intake.queued_bytes)]
        unapplied: Samples = [] if head is None else [({}, max(0, head - self._applying.position))]
        lacking = None if head is None else await self._health.unreported_usage()
        unreported: Samples = (
            []
            if lacking is None
            else [({"status": status}, lacking.get(status, 0)) for status in ("waiting", *UsageFailure)]
        )
        spent = [
            ({"cause": cause, "currency": code}, amount) for (cause, code), amount in self._watch.overspent.items()
        ]
        suspended = [({"currency": code}, amount) for code, amount in self._watch.suspended().items()]
        return [
            _counter("faregate_requests_total", "Requests by first part of the path and status.", requests),
            _counter("faregate_events_accepted_total", "Events acknowledged after their durable write.", events),
            _counter("faregate_lease_answers_total", "Answers to gateways' lease requests.", leases),
            _counter("faregate_held_units_total", "Units held for calls.", [(at, n.held) for at, n in bounds]),
            _counter("faregate_used_units_total", "Units that held calls used.", [(at, n.used) for at, n in bounds]),
            _counter("faregate_held_calls_total", "Calls with a hold.", [(at, n.calls) for at, n in bounds]),
            _counter("faregate_overshoots_total", "Calls above their hold.", [(at, n.overshoots) for at, n in bounds]),
            _counter("faregate_overspend_amount_total", "Spent by prepaid accounts beyond their credit.", spent),
            _counter("faregate_ticks_failed_total", "Billing ticks that failed.", [({}, counters.ticks_failed)]),
            _gauge("faregate_intake_queued_bytes", "Events that wait for a commit.", queued),
            _gauge("faregate_events_unapplied", "Events that are logged and not yet metered.", unapplied),
            _gauge("faregate_state_subscribers", "Gateways that follow the state.", [({}, self._feed.subscribers)]),
            _gauge(
                "faregate_gateways_lost",
                "Gateways that hold units and do not come back.",
                [({}, len(self._watch.lost))],
            ),
            _gauge("faregate_suspended_amount", "Money that lost gateways hold, in major units.", suspended),
            _gauge("faregate_usage_reports", "Reports of usage that the billing provider lacks.", unreported),
            _gauge("faregate_state_version", "Newest version of the state.", [({}, self._feed.version)]),
        ]


def _counter(name: str, explanation: str, samples: Samples) -> str:
    return f"# HELP {name} {explanation}\n# TYPE {name} counter\n{_lines(name, samples)}"


def _gauge(name: str, explanation: str, samples: Samples) -> str:
    return f"# HELP {name} {explanation}\n# TYPE {name} gauge\n{_lines(name, samples)}"


def _lines(name: str, samples: Samples) -> str:
    return "".join(f"{name}{_labels(labels)} {value}\n" for labels, value in samples)


def _labels(labels: Mapping[str, str]) -> str:
    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{{{shown}}}" if shown else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

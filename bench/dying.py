"""Bars about processes that die: each is held by the upstream's own log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bench import limits
from bench.bar import Row, Run
from bench.crash.rounds import run_rounds
from bench.failpoints.trial import run_failpoints
from bench.overspend import rounds
from bench.overspend.rounds import run_overspend

_SHOWN_FAULTS: Final = 5


def hold_crash(run: Run) -> Iterator[Row]:
    """Kill either process under load, and judge."""
    found = run_rounds(run.limits.crash_rounds, seed=run.seed, show=run.show)
    kills = ", ".join(f"{name} {count}" for name, count in sorted(found.killed.items()))
    yield Row(
        bar=f"kill -9 during load, restart, {found.rounds} rounds",
        measured=f"{len(found.faults)} faults; killed: {kills}; calls: {_counted(found.calls)}; "
        f"at rest after {found.at_rest_s} s{_shown(found.faults)}",
        limit="0 faults by the upstream's log",
        held=not found.faults and bool(found.calls.get("complete")),
        command=f"{run.command('crash')} --seed {run.seed}",
    )


def hold_failpoints(run: Run) -> Iterator[Row]:
    """Die at every named point, once for each seed."""
    for seed in range(run.seed, run.seed + run.limits.failpoint_seeds):
        found = run_failpoints(seed=seed, show=run.show)
        yield Row(
            bar=f"kill -9 at each named failpoint, seed {seed}",
            measured=f"{len(found.reached)} reached, {len(found.missed)} missed, {len(found.faults)} faults; "
            f"calls: {_counted(found.calls)}; {found.credit_given} grants; {found.invoices} invoices"
            + _shown(found.faults),
            limit="none missed; 0 faults by the upstream's log",
            held=not found.faults and not found.missed and bool(found.calls.get("complete")),
            command=f"python -m bench.failpoints --seeds {seed}",
        )


def hold_overspend(run: Run) -> Iterator[Row]:
    """Try to overspend: one row for each of the promises."""
    plan = rounds.QUICK if run.limits is limits.QUICK else rounds.FULL
    found = run_overspend(plan, seed=run.seed, show=run.show)
    quick = " --quick" if plan is rounds.QUICK else ""
    command = f"python -m bench.overspend{quick} --seed {run.seed}"
    where = (
        f"{rounds.GATEWAYS} gateways, {plan.connections} connections, {plan.customers:,} customers, {plan.kills} kills"
    )
    yield Row(
        bar=f"overspend: {where}",
        measured=f"${found.over_balance} over balance; {len(found.faults)} faults; calls: {_counted(found.calls)}; "
        f"{found.load_s:.0f} s; at rest after {found.at_rest_s} s{_shown(found.faults)}",
        limit="$0, 0 faults by the upstream's log, nothing held at the end",
        held=not found.faults,
        command=command,
    )
    yield Row(
        bar="overspend: credit spent of those who want more",
        measured=f"{found.spent_part:.4%}: ${found.spent}, and ${found.unspendable} for which no call fits, "
        f"of ${found.granted}",
        limit=f"at least {run.limits.least_spent_part:.2%}",
        held=found.spent_part >= run.limits.least_spent_part,
        command=command,
    )
    yield Row(
        bar="overspend: refused (402) although there was credit",
        measured=f"{found.wrong_part:.4%}: {found.wrongly_refused}{_shown(found.wrong)}",
        limit=f"at most {run.limits.most_wrong_part:.2%}",
        held=found.wrong_part <= run.limits.most_wrong_part,
        command=command,
    )


def _counted(calls: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(calls.items()) if name != "not_sent")


def _shown(faults: Sequence[str]) -> str:
    return "".join(f"; {fault}" for fault in faults[:_SHOWN_FAULTS])

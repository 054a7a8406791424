"""Grants and usage within a few days, for tests of credit."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st

from faregate.base.periods import Cadence, CadenceUnit, PeriodCalendar
from faregate.domain.ledger.burning import Grant, GrantKind
from faregate.domain.ledger.credit_run import Usage
from tests.builders import NOON

HOUR = timedelta(hours=1)
DAILY = PeriodCalendar(anchor=NOON, cadence=Cadence(unit=CadenceUnit.DAY))

hours = st.integers(min_value=0, max_value=100).map(lambda count: NOON + count * HOUR)
some_usage = st.lists(st.builds(Usage, at=hours, amount=st.integers(0, 60)), max_size=12)


def a_grant(amount: int = 100, grant_id: str = "g", **changes: object) -> Grant:
    grant = Grant(grant_id=grant_id, amount=amount, kind=GrantKind.PAID, effective_at=NOON, sequence=0)
    return replace(grant, **changes)  # type: ignore[arg-type]


def draw_grant(draw: st.DrawFn, index: int, *, least: int, **changes: object) -> Grant:
    """Draw the grant at a place in a list, of an amount from `least` on."""
    grant = Grant(
        grant_id=f"g{index}",
        amount=draw(st.integers(least, 100)),
        kind=draw(st.sampled_from(GrantKind)),
        effective_at=draw(hours),
        sequence=index,
        priority=draw(st.integers(0, 2)),
        expires_at=draw(st.none() | hours),
        voided_at=draw(st.none() | hours),
        recurs=draw(st.none() | st.just(DAILY)),
    )
    return replace(grant, **changes)  # type: ignore[arg-type]

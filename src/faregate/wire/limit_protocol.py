"""What gateways and the control plane say of limits: two entities of the state, and the shares of limits per minute.

Those travel by `POST /gateway/v1/rates` (docs/decisions/0022).
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, field

from faregate.domain.limits.limit import Measure, Per, Subject


class LimitState(Struct, frozen=True, kw_only=True, tag="limit"):
    """A limit per minute, of one subject, or of each (`subject_id` null), of the companies on a plan or of all.

    `routes`: patterns, of which one must be found in the route's name; none: every route.
    """

    limit_id: str
    application_id: str
    name: str
    subject: Subject
    subject_id: str | None
    plan_id: str | None
    measure: Measure
    amount: int
    routes: list[str]


class LimitBlockState(Struct, frozen=True, kw_only=True, tag="limit_block"):
    """A subject of a company has used up a cap or quota: its calls in [from_at, until_at) are refused.

    By the call's business time; null for `until_at` is for good. `is_near`: a tenth is left at the most. Its calls are
    let through, and told of without delay.
    """

    limit_id: str
    application_id: str
    name: str
    subject: Subject
    subject_id: str
    company_id: str
    measure: Measure
    amount: str
    currency: str | None
    per: Per
    routes: list[str]
    from_at: datetime
    until_at: datetime | None
    is_near: bool = False


AnyLimit = LimitState | LimitBlockState
"""What the state has of limits."""


class RateUse(Struct, frozen=True, kw_only=True):
    """What a gateway says of a limit per minute and one of its subjects.

    `holds`: the share that it acts by. `used`: of its last minute. `wanted`: what it would use of a minute if it might.
    All three 0: it is done with it.
    """

    limit_id: str
    subject_id: str
    holds: int
    used: int
    wanted: int


class RateReport(Struct, frozen=True, kw_only=True):
    """Sent by a gateway that knows of a limit per minute, every second and when a call needs more; one at a time.

    `desk`: whose shares it acts by, as last answered; empty before. `number` counts the reports of a process. The first
    report to a desk names all that the gateway holds or has used; later ones, what has changed.
    """

    gateway_id: str
    epoch: int
    number: int
    desk: str
    uses: list[RateUse] = field(default_factory=list)


class RateShare(Struct, frozen=True, kw_only=True):
    """What the gateway may use of any minute from now on, and what other gateways have used of their last one."""

    limit_id: str
    subject_id: str
    share: int
    used_elsewhere: int


class RateShares(Struct, frozen=True, kw_only=True):
    """The answer to a report, in its order. `gateways`: how many follow the state.

    Where the report named another `desk` (the control plane was started anew), there are no shares: the gateway goes on
    with what it has, and reports all of it.
    """

    desk: str
    gateways: int
    shares: list[RateShare] = field(default_factory=list)

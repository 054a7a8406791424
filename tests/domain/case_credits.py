"""Credit in the words of billing_cases.json."""

import random
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from faregate.base.money import EXACT, quantize
from faregate.base.periods import Cadence, CadenceUnit, PeriodCalendar
from faregate.domain.ledger.burning import (
    Burn,
    Grant,
    GrantKind,
    Rollover,
    burn,
    burn_order,
    credits_worth,
    restore,
)
from faregate.domain.ledger.credit_run import CreditState, Reset, Usage, open_credit, run_credit
from faregate.domain.ledger.holding import Ended, HoldEnd, Insufficient, end_hold, place_hold, settle_hold

Input = Mapping[str, Any]
Answer = dict[str, Any]

START: Final = datetime(2024, 1, 1, tzinfo=UTC)
_PLACES: Final = 9
_WORD: Final = re.compile(r"([+-]?)(?:(\d+)(mo|[smhdwy])|([a-z]\w*))", re.IGNORECASE)
_CADENCE: Final = re.compile(r"P(?:T?)(\d+)([HDWMY])")


def units(text: object) -> int:
    return quantize(Decimal(str(text)), _PLACES, ROUND_HALF_UP)


def plain(amount: int) -> Decimal:
    return EXACT.scaleb(Decimal(amount), -_PLACES)


def at(text: object, named: Mapping[str, datetime]) -> datetime:
    """An instant as the cases write it, counted from the first grant's start: `+1h`, `0`, `after_recurrence+30m`."""
    found, written = START, str(text)
    if re.match(r"\d{4}-\d\d-\d\d", written):
        parsed = datetime.fromisoformat(written)
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    for sign, count, unit, name in _WORD.findall(written):
        if name:
            found = named[name]
            continue
        number = int(count) * (-1 if sign == "-" else 1)
        if unit in ("y", "mo"):
            calendar = PeriodCalendar(
                anchor=found, cadence=Cadence(unit=CadenceUnit.YEAR if unit == "y" else CadenceUnit.MONTH)
            )
            found = calendar.border(number)
        else:
            names = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
            found += timedelta(**{names[unit]: number})
    return found


def a_grant(given: Input, sequence: int, named: Mapping[str, datetime]) -> Grant:
    effective_at = at(given.get("effective", "0"), named)
    expires = given.get("expires")
    return Grant(
        grant_id=given["id"],
        amount=units(given["amount"]),
        kind=GrantKind.PAID if given.get("kind") in ("paid", "purchased") else GrantKind.PROMOTIONAL,
        effective_at=effective_at,
        sequence=sequence,
        priority=int(given.get("priority", 0)),
        expires_at=None if expires is None else at(expires, {**named, "effective": effective_at}),
        voided_at=at(given["voided"], named) if given.get("voided") else None,
        recurs=PeriodCalendar(anchor=effective_at, cadence=_cadence(given["recurs"])) if given.get("recurs") else None,
        rollover=Rollover(
            least=units(given.get("rollover_min", 0)), most=units(given.get("rollover_max", given.get("rollover", 0)))
        ),
    )


def _cadence(text: str) -> Cadence:
    match = _CADENCE.fullmatch(text)
    assert match is not None, text
    kinds = {"D": CadenceUnit.DAY, "W": CadenceUnit.WEEK, "M": CadenceUnit.MONTH, "Y": CadenceUnit.YEAR}
    return Cadence(unit=kinds[match[2]], count=int(match[1]))


def _named(given: Input) -> dict[str, datetime]:
    """Instants that a case calls by name: just after the first recurrence, just after a grant begins."""
    named: dict[str, datetime] = {}
    for entry in given.get("grants", ()):
        if entry.get("recurs"):
            calendar = PeriodCalendar(anchor=START, cadence=_cadence(entry["recurs"]))
            named["recurrence"] = calendar.border(1)
            named["after_recurrence"] = calendar.border(1) + timedelta(hours=1)
        named[f"after_{entry['id']}"] = at(entry.get("effective", "0"), named)
    return named


def run(given: Input) -> Answer:
    """Grants and usage over time, or lots that are spent at once."""
    if "lots" in given:
        return spend_lots(given)
    named = _named(given)
    grants = [a_grant(entry, sequence, named) for sequence, entry in enumerate(given["grants"])]
    usage = [Usage(at=at(when, named), amount=units(amount)) for when, amount in given["usage"]]
    resets = _resets(given, named)
    start = at(given.get("from", "0"), named)
    # Unless a case says so: long enough after the last usage, and before anything else happens.
    until = at(given["at"], named) if "at" in given else max(entry.at for entry in usage) + timedelta(minutes=1)
    opened = open_credit(grants, start)
    done = run_credit(opened, grants, usage=usage, until=until, resets=resets)
    return {
        "balances": {grant.grant_id: plain(done.balances.get(grant.grant_id, 0)) for grant in grants},
        "overage": plain(done.overage),
        "balance": plain(done.balance),
        "usage_since_reset": plain(done.used),
        "overage_at_grant_start": plain(_overage_at_first_grant(opened, grants, usage)),
    }


def _resets(given: Input, named: Mapping[str, datetime]) -> list[Reset]:
    texts = given.get("resets", [given["reset"]] if given.get("reset") else [])
    preserve = bool(given.get("preserve_overage", False))
    return [Reset(at=at(text, named), preserve_overage=preserve) for text in texts]


def _overage_at_first_grant(opened: CreditState, grants: Sequence[Grant], usage: Sequence[Usage]) -> int:
    """Return the overage when the first grant begins, before the grant pays it."""
    begins = min((grant.effective_at for grant in grants), default=opened.at)
    return run_credit(opened, [], usage=usage, until=begins).overage if begins > opened.at else 0


def run_in_parts(given: Input) -> Answer:
    """A run that stops at some instants and goes on from each state says what one run says."""
    dice = random.Random(given.get("seed", 7))  # noqa: S311 - a case, not a secret
    length = timedelta(hours=6)
    grants = [
        Grant(
            grant_id=f"g{index}",
            amount=units(dice.randint(1, 10_000)),
            kind=dice.choice(list(GrantKind)),
            effective_at=START + dice.random() * length,
            sequence=index,
            priority=dice.randint(1, 3),
            expires_at=START + (1 + dice.random()) * length,
            recurs=PeriodCalendar(anchor=START, cadence=Cadence(unit=CadenceUnit.DAY)) if index % 3 == 0 else None,
        )
        for index in range(int(given["random_grants"]))
    ]
    usage = [
        Usage(at=START + dice.random() * length, amount=units(dice.randint(1, 20)))
        for _ in range(int(given["random_events"]))
    ]
    opened = open_credit(grants, START)
    at_once = run_credit(opened, grants, usage=usage, until=START + length)
    halfway = run_credit(opened, grants, usage=usage, until=START + length / 2)
    in_parts = run_credit(halfway, grants, usage=usage, until=START + length)
    return {"equal": at_once == in_parts}


def run_or_roll_over(given: Input) -> Answer:
    return roll_over(given) if "credits" in given else run(given)


def roll_over(given: Input) -> Answer:
    """What of a period's credit lives on: credit that does not roll over ends with the period, and so burns first."""
    end = START + timedelta(days=30)
    grants = [
        Grant(
            grant_id=f"g{index}",
            amount=units(entry["units"]),
            kind=GrantKind.PROMOTIONAL,
            effective_at=START,
            sequence=index,
            expires_at=None if entry["rollover"] else end,
        )
        for index, entry in enumerate(given["credits"])
    ]
    usage = [Usage(at=START, amount=units(given["usage"]))]
    done = run_credit(open_credit(grants, START), grants, usage=usage, until=end)
    return {"rollover_units": plain(sum(done.balances.values())), "balance": plain(done.balance)}


def spend_lots(given: Input) -> Answer:
    oldest = max(lot["age_days"] for lot in given["lots"])
    grants = [
        Grant(
            grant_id=lot["id"],
            amount=int(lot.get("cents", given.get("lot_cents", 0))),
            kind=GrantKind.PAID if lot["kind"] == "purchased" else GrantKind.PROMOTIONAL,
            effective_at=START + timedelta(days=oldest - lot["age_days"]),
            sequence=index,
            priority=lot["priority"],
        )
        for index, lot in enumerate(given["lots"])
    ]
    balances = {grant.grant_id: grant.amount for grant in grants}
    burns, left = burn(burn_order(grants), balances, int(given["spend_cents"]))
    for taken in burns:
        balances[taken.grant_id] -= taken.amount
    return {"remaining_cents": balances, "overage_cents": left, "order": [taken.grant_id for taken in burns]}


def convert(given: Input) -> Answer:
    worth = credits_worth(Decimal(str(given["credits"])), Decimal(str(given["conversion_rate"])))
    return {"currency_amount": worth}


def balance(given: Input) -> Answer:
    grant = a_grant({"id": "g1", "amount": given["credited"]}, 0, {})
    usage = [Usage(at=START, amount=units(given["consumed"]))]
    done = run_credit(open_credit([grant], START), [grant], usage=usage, until=START + timedelta(hours=1))
    return {"balance": plain(done.balance)}


def correct(given: Input) -> Answer:
    burns = [Burn(grant_id=name, amount=units(amount)) for name, amount in given["consumed"].items()]
    kept, _ = restore(burns, units(given["restore"]))
    still = dict.fromkeys(given["consumed"], Decimal(0)) | {taken.grant_id: plain(taken.amount) for taken in kept}
    return {"still_consumed": still}


def reserve(given: Input) -> Answer:
    """A hold on one or several lots, and what comes of it."""
    lots = _lots(given)
    grants = [
        Grant(grant_id=name, amount=units(amount), kind=GrantKind.PROMOTIONAL, effective_at=START, sequence=index)
        for index, (name, amount) in enumerate(lots.items())
    ]
    order = burn_order(grants)
    held = place_hold(order, {grant.grant_id: grant.amount for grant in grants}, units(given["reserve"]))
    if isinstance(held, Insufficient):
        return {
            "allowed": False,
            "missing": plain(held.missing),
            **_left({grant.grant_id: grant.amount for grant in grants}),
        }
    done = 0
    for step, amount in _steps(given):
        outcome = settle_hold(held, order, amount) if step == "settle" else end_hold(held, HoldEnd(step))
        if isinstance(outcome, Ended):
            continue
        done, held = done + 1, outcome
    return {
        "allowed": True,
        "ok": done,
        "refused": len(_steps(given)) - done,
        **_left(held.balances),
    }


def _lots(given: Input) -> dict[str, Any]:
    if "grants" in given:
        return {str(index): amount for index, amount in enumerate(given["grants"])}
    if "balance" in given:
        return {"main": given["balance"]}
    buckets = given["buckets"]
    return (
        dict(buckets) if isinstance(buckets, Mapping) else {str(index): amount for index, amount in enumerate(buckets)}
    )


def _steps(given: Input) -> list[tuple[str, int]]:
    steps: list[tuple[str, int]] = []
    if given.get("settle") is not None:
        steps.append(("settle", units(given["settle"])))
    steps += [("settle", units(amount)) for amount in given.get("concurrent_settle", ())]
    ends = {"expire": "expired", "release": "released"}
    for text in given.get("then", ()):
        word, _, amount = text.partition(" ")
        steps.append(("settle", units(amount)) if word == "settle" else (ends[word], 0))
    return steps


def _left(balances: Mapping[str, int]) -> Answer:
    total = plain(sum(balances.values()))
    return {
        **{name: plain(amount) for name, amount in balances.items()},
        "total": total,
        "remaining": total,
        "balance": total,
    }

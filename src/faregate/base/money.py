"""Money: exact decimals in, integers of the ledger's resolution stored, minor units on an invoice.

Two units, never mixed: *ledger units* (1e-9 of the major unit; 1e-6 for currencies of large numbers) and *minor
units* (cents, ISO 4217's exponent). `quantize` is the only place in Faregate where an amount is rounded;
`quantize_share` hands it shares that no decimal can write, such as a third.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation, Overflow
from fractions import Fraction
from typing import Final

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_LEDGER_UNITS

EXACT: Final = Context(prec=120, traps=[InvalidOperation, Overflow, Inexact])
"""Arithmetic that fails rather than loses a digit."""

_WIDE: Final = Context(prec=120, traps=[InvalidOperation, Overflow])

_MOST_UNITS: Final = Decimal(MAX_LEDGER_UNITS)

_ZERO_DECIMAL: Final = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF".split())
_THREE_DECIMAL: Final = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
_TWO_DECIMAL: Final = frozenset(
    (
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY "
        "COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR "
        "IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD "
        "NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STD "
        "STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG"
    ).split()
)
_LARGE_NUMBERS: Final = frozenset("COP IDR IRR KHR KRW LAK LBP MMK PYG UZS VND".split())


@dataclass(frozen=True, slots=True)
class Currency:
    """An ISO 4217 code, the decimal places of its minor unit and of the ledger's resolution."""

    code: str
    minor_places: int
    ledger_places: int


def currency(code: str) -> Currency:
    """Return the currency for an upper-case ISO 4217 code; `InvalidInput` names `currency` if it is unknown."""
    if code in _TWO_DECIMAL:
        places = 2
    elif code in _ZERO_DECIMAL:
        places = 0
    elif code in _THREE_DECIMAL:
        places = 3
    else:
        raise InvalidInput.of("currency", f"{code!r} is not a supported currency; use an ISO 4217 code such as 'USD'")
    return Currency(code, places, 6 if code in _LARGE_NUMBERS else 9)


def quantize(amount: Decimal, places: int, rounding: str) -> int:
    """Return `amount` as a whole number of 10**-places, rounded once by a `decimal.ROUND_*` mode.

    Raises `InvalidInput` on `amount` when it is not finite or the result does not fit 64 bits.
    """
    if not amount.is_finite():
        raise InvalidInput.of("amount", "must be a finite number, for example '0.50'")
    most = EXACT.scaleb(_MOST_UNITS, -places)
    try:
        units = int(EXACT.scaleb(amount.quantize(most, rounding=rounding, context=_WIDE), places))
    except InvalidOperation:  # more digits than _WIDE has
        units = None
    if units is None or not -MAX_LEDGER_UNITS <= units <= MAX_LEDGER_UNITS:
        raise InvalidInput.of("amount", f"is larger than the ledger can hold; it must be at most {most}")
    return units


def quantize_share(amount: Decimal, share: Fraction, places: int) -> int:
    """Return `amount` x `share` as a whole number of 10**-places, rounded once, half away from zero."""
    exact = Fraction(amount) * share
    scaled = abs(exact) * 10**places
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    # To a digit beyond the last one, `quantize` sees on which side of a half the rest lies.
    digit = Decimal(whole * 10 + (0 if rest == 0 else 5 if 2 * rest >= scaled.denominator else 1))
    rounded = quantize(EXACT.scaleb(digit, -places - 1), places, ROUND_HALF_UP)
    return -rounded if exact < 0 else rounded


def to_ledger_units(amount: Decimal, unit: Currency) -> int:
    """Return an amount of major units in ledger units, half away from zero."""
    return quantize(amount, unit.ledger_places, ROUND_HALF_UP)


def from_ledger_units(units: int, unit: Currency) -> Decimal:
    """Return ledger units as an exact amount of major units, without trailing zeros beyond the minor unit."""
    return _plain(EXACT.scaleb(Decimal(units), -unit.ledger_places), unit.minor_places)


def to_minor_units(amount: Decimal, unit: Currency) -> int:
    """Return an amount of major units in minor units, half away from zero: once per invoice line."""
    return quantize(amount, unit.minor_places, ROUND_HALF_UP)


def from_minor_units(units: int, unit: Currency) -> Decimal:
    """Return minor units as an exact amount of major units."""
    return EXACT.scaleb(Decimal(units), -unit.minor_places)


def minor_to_ledger_units(units: int, unit: Currency) -> int:
    """Return minor units in ledger units; always exact."""
    return int(units * 10 ** (unit.ledger_places - unit.minor_places))


def _plain(amount: Decimal, least_places: int) -> Decimal:
    trimmed = amount.normalize(EXACT)
    exponent = trimmed.as_tuple().exponent
    if isinstance(exponent, int) and exponent > -least_places:
        return trimmed.quantize(Decimal(1).scaleb(-least_places), context=EXACT)
    return trimmed

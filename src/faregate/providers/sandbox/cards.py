"""Stripe's test cards and test bank accounts: what each of them does (docs.stripe.com/testing)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Authentication(Enum):
    """When the holder of a card is asked to confirm."""

    NEVER = "never"
    ALWAYS = "always"
    UNLESS_SET_UP = "unless set up for payments without the holder"
    ON_SESSION = "where the holder is there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decline:
    """Why a card was declined, in Stripe's words."""

    code: str
    decline_code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TestCard:
    """A card of the sandbox, by its number; `tokens` stand behind `pm_card_` and `tok_`.

    `decline`: each payment is. `attaches`: it can become a customer's all the same. `dispute`: the reason of the one
    that follows each payment. `refund`: what becomes of refunds in the end.
    """

    number: str
    tokens: tuple[str, ...]
    brand: str = "visa"
    funding: str = "credit"
    decline: Decline | None = None
    attaches: bool = True
    authentication: Authentication = Authentication.NEVER
    dispute: str | None = None
    is_inquiry: bool = False
    refund: str = "succeeded"

    @property
    def fingerprint(self) -> str:
        """Return what tells cards apart without their number."""
        return _fingerprint(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class TestAccount:
    """A bank account of the sandbox: payments from it are on their way for a while; `decline`: then they fail."""

    number: str
    token: str
    decline: Decline | None = None

    @property
    def fingerprint(self) -> str:
        """Return what tells accounts apart without their number."""
        return _fingerprint(self.number)


def _fingerprint(number: str) -> str:
    return hashlib.sha256(number.encode()).hexdigest()[:16]


def _declined(decline_code: str, message: str, *, code: str = "card_declined") -> Decline:
    return Decline(code=code, decline_code=decline_code, message=message)


AUTHENTICATION_REQUIRED: Final = Decline(
    code="authentication_required",
    decline_code="authentication_required",
    message="Your card was declined. This transaction requires authentication.",
)
EXPIRED: Final = _declined("expired_card", "Your card has expired.", code="expired_card")
_GENERIC: Final = _declined("generic_decline", "Your card was declined.")
_NO_FUNDS: Final = _declined("insufficient_funds", "Your card has insufficient funds.")

_SUCCEED: Final = (
    TestCard(number="4242424242424242", tokens=("visa",)),
    TestCard(number="4000056655665556", tokens=("visa_debit",), funding="debit"),
    TestCard(number="5555555555554444", tokens=("mastercard",), brand="mastercard"),
    TestCard(number="5200828282828210", tokens=("mastercard_debit",), brand="mastercard", funding="debit"),
    TestCard(number="5105105105105100", tokens=("mastercard_prepaid",), brand="mastercard", funding="prepaid"),
    TestCard(number="378282246310005", tokens=("amex",), brand="amex"),
    TestCard(number="6011111111111117", tokens=("discover",), brand="discover"),
    TestCard(number="3056930009020004", tokens=("diners",), brand="diners"),
    TestCard(number="3566002020360505", tokens=("jcb",), brand="jcb"),
    TestCard(number="6200000000000005", tokens=("unionpay",), brand="unionpay"),
)
_ARE_DECLINED: Final = tuple(
    TestCard(number=number, tokens=tokens, decline=decline, attaches=False)
    for number, tokens, decline in (
        ("4000000000000002", ("visa_chargeDeclined", "chargeDeclined"), _GENERIC),
        (
            "4000000000009995",
            ("visa_chargeDeclinedInsufficientFunds", "chargeDeclinedInsufficientFunds"),
            _NO_FUNDS,
        ),
        ("4000000000009987", ("visa_chargeDeclinedLostCard",), _declined("lost_card", "Your card was declined.")),
        ("4000000000009979", ("visa_chargeDeclinedStolenCard",), _declined("stolen_card", "Your card was declined.")),
        ("4000000000000069", ("chargeDeclinedExpiredCard",), EXPIRED),
        (
            "4000000000000127",
            ("chargeDeclinedIncorrectCvc",),
            _declined("incorrect_cvc", "Your card's security code is incorrect.", code="incorrect_cvc"),
        ),
        (
            "4000000000000119",
            ("chargeDeclinedProcessingError",),
            _declined(
                "processing_error",
                "An error occurred while processing your card. Try again in a little bit.",
                code="processing_error",
            ),
        ),
        (
            "4000000000006975",
            ("visa_chargeDeclinedVelocityLimitExceeded",),
            _declined("card_velocity_exceeded", "Your card was declined for making repeated attempts too frequently."),
        ),
    )
)
_BEHAVE: Final = (
    TestCard(number="4000000000000341", tokens=("chargeCustomerFail",), decline=_GENERIC),
    TestCard(number="4000002760003184", tokens=("authenticationRequired",), authentication=Authentication.ALWAYS),
    TestCard(number="4000000000003220", tokens=("threeDSecure2Required",), authentication=Authentication.ALWAYS),
    TestCard(
        number="4000002500003155",
        tokens=("authenticationRequiredOnSetup",),
        authentication=Authentication.UNLESS_SET_UP,
    ),
    TestCard(
        number="4000003800000446",
        tokens=("authenticationRequiredSetupForOffSession",),
        authentication=Authentication.ON_SESSION,
    ),
    TestCard(
        number="4000008260003178",
        tokens=("authenticationRequiredChargeDeclinedInsufficientFunds",),
        authentication=Authentication.ALWAYS,
        decline=_NO_FUNDS,
    ),
    TestCard(number="4000000000000259", tokens=("createDispute",), dispute="fraudulent"),
    TestCard(number="4000000000002685", tokens=("createDisputeProductNotReceived",), dispute="product_not_received"),
    TestCard(number="4000000000001976", tokens=("createDisputeInquiry",), dispute="fraudulent", is_inquiry=True),
    TestCard(number="4000000000007726", tokens=("pendingRefund",), refund="pending"),
    TestCard(number="4000000000005126", tokens=("refundFail",), refund="failed"),
)
TEST_CARDS: Final = _SUCCEED + _ARE_DECLINED + _BEHAVE

TEST_ACCOUNTS: Final = (
    TestAccount(number="000123456789", token="pm_usBankAccount_success"),  # noqa: S106 - public, in Stripe's documents
    TestAccount(
        number="000222222227",
        token="pm_usBankAccount_insufficientFunds",  # noqa: S106 - as above
        decline=Decline(
            code="payment_method_provider_decline",
            decline_code="insufficient_funds",
            message="The customer's account has insufficient funds to cover this payment.",
        ),
    ),
    TestAccount(
        number="000111111113",
        token="pm_usBankAccount_accountClosed",  # noqa: S106 - as above
        decline=Decline(
            code="payment_method_provider_decline",
            decline_code="account_closed",
            message="The customer's bank account has been closed.",
        ),
    ),
)
ROUTING_NUMBER: Final = "110000000"

_CARDS_BY_NUMBER: Final = {card.number: card for card in TEST_CARDS}
_CARDS_BY_TOKEN: Final = {
    f"{kind}_{token}": card for card in TEST_CARDS for token in card.tokens for kind in ("tok", "pm_card")
}
_CARDS_BY_FINGERPRINT: Final = {card.fingerprint: card for card in TEST_CARDS}
_ACCOUNTS: Final = {name: one for one in TEST_ACCOUNTS for name in (one.number, one.token, one.fingerprint)}


def card_of_number(number: str) -> TestCard | None:
    """Return the test card with a number, written with or without spaces."""
    return _CARDS_BY_NUMBER.get("".join(number.split()).replace("-", ""))


def card_of_token(token: str) -> TestCard | None:
    """Return the test card behind `tok_...` or `pm_card_...`."""
    return _CARDS_BY_TOKEN.get(token)


def card_of_fingerprint(fingerprint: str) -> TestCard:
    """Return the test card that a payment method was made of."""
    return _CARDS_BY_FINGERPRINT[fingerprint]


def account_of(name: str) -> TestAccount | None:
    """Return the test account with a number, a token or a fingerprint."""
    return _ACCOUNTS.get(name)

"""What a walkthrough found, step by step: the JSON document, and what the terminal shows."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field


class Check(Struct, kw_only=True):
    """An amount or word that was calculated beforehand, and what was found."""

    what: str
    expected: str
    found: str
    held: bool


class Charge(Struct, kw_only=True):
    """A call's debit at one price, in dollars."""

    price: str
    quantity: str
    amount: str


class CallRecord(Struct, kw_only=True):
    """One call through the gateway: what was asked, what came, what it cost, and the account after it.

    `tokens_*` are what the call uses, or would have used; `type`, `code` and `message` are a refusal's. `note`: what
    happened just before.
    """

    name: str
    customer: str
    stream: bool
    tokens_in: int
    tokens_out: int
    status: int
    request_id: str
    first_ms: float
    whole_ms: float
    note: str = ""
    text: str = ""
    left_after_chunks: int | None = None
    type: str | None = None
    code: str | None = None
    message: str | None = None
    charges: list[Charge] = field(default_factory=list)
    balance: str = ""
    paid_ahead: dict[str, str] = field(default_factory=dict)


class InvoiceRecord(Struct, kw_only=True):
    """An invoice, in dollars."""

    number: str
    customer: str
    lines: list[Charge]
    total: str
    credit_applied: str
    amount_due: str
    status: str
    due_at: str


class BooksRecord(Struct, kw_only=True):
    """A customer's price in a period, as three books have it: usage, ledger and invoice."""

    customer: str
    price: str
    used: str
    invoiced_quantity: str
    debited: str
    invoiced: str


class StepRecord(Struct, kw_only=True):
    """One step: a letter, a title, what it is about, and what was found."""

    step: str
    title: str
    about: str
    notes: list[str] = field(default_factory=list)
    calls: list[CallRecord] = field(default_factory=list)
    invoices: list[InvoiceRecord] = field(default_factory=list)
    books: list[BooksRecord] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    def check(self, what: str, *, expected: object, found: object) -> None:
        """Compare what was found with what was calculated, as text, to the last digit."""
        self.checks.append(Check(what=what, expected=str(expected), found=str(found), held=str(expected) == str(found)))

    @property
    def held(self) -> bool:
        """Whether everything was as calculated."""
        return all(check.held for check in self.checks)


class WalkthroughRecord(Struct, kw_only=True):
    """The whole walkthrough; `ok` only if every check of every step held."""

    ok: bool
    checks: int
    took_s: float
    steps: list[StepRecord]

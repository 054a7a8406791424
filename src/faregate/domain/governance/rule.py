"""A governance rule: whom it holds (cohort), what it blocks, and what the caller is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Cohort(StrEnum):
    """The companies a rule holds now."""

    NO_AVAILABLE_CREDITS = "no_available_credits"
    UNPAID_INVOICES = "unpaid_invoices"


class Template(StrEnum):
    """What a rule can be made from."""

    BLOCK_WHEN_NO_AVAILABLE_CREDITS = "block_when_no_available_credits"
    BLOCK_ON_UNPAID_INVOICES = "block_on_unpaid_invoices"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """A regular expression to be found (unanchored) in a field of the request; `request.route` is the one there is."""

    field: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The answer to a blocked call: status, headers, and the OpenAI error object's type, code and message."""

    status: int
    headers: Mapping[str, str]
    error_type: str
    error_code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`block_what`: any one criterion is enough; without one, every route is blocked. `priority`: lower goes first."""

    rule_id: str
    name: str
    template: Template
    cohort: Cohort
    block_what: tuple[Criterion, ...]
    refusal: Refusal
    active: bool
    priority: int

"""What the walkthrough must find: the amounts calculated by hand in docs/walkthrough.md, in the order of the calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from faregate.apps.story.chat import Tokens
from faregate.apps.story.seed import INPUT, OUTPUT

PREPAID: Final = "acme"
POSTPAID: Final = "globex"

FIRST_GRANT: Final = "4.00"
TOP_UP: Final = "5.00"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedCall:
    """A call that is answered: what it is charged, and the account after it.

    Amounts are dollars as decimal text; `ahead_*` are units paid ahead in the open package. `leave_after_chunks`: the
    caller goes away in mid-stream.
    """

    name: str
    tokens: Tokens
    charged_in: str
    charged_out: str
    balance: str
    ahead_in: str
    ahead_out: str
    choices: int = 1
    stream: bool = False
    token_ms: int = 0
    leave_after_chunks: int | None = None


FIRST: Final = ExpectedCall(
    name="the first call opens a package of each price",
    tokens=Tokens(prompt=400_000, completion=50_000),
    charged_in="0.50",
    charged_out="1.50",
    balance="2.00",
    ahead_in="600000",
    ahead_out="950000",
)
INSIDE: Final = ExpectedCall(
    name="a call inside the open packages",
    tokens=Tokens(prompt=500_000, completion=100_000),
    charged_in="0.00",
    charged_out="0.00",
    balance="2.00",
    ahead_in="100000",
    ahead_out="850000",
)
ACROSS: Final = ExpectedCall(
    name="a call across the input package's border",
    tokens=Tokens(prompt=250_000, completion=50_000),
    charged_in="0.50",
    charged_out="0.00",
    balance="1.50",
    ahead_in="850000",
    ahead_out="800000",
)
ACROSS_TWO: Final = ExpectedCall(
    name="a call across two borders at once",
    tokens=Tokens(prompt=2_350_000, completion=200_000),
    choices=2,
    charged_in="1.00",
    charged_out="0.00",
    balance="0.50",
    ahead_in="500000",
    ahead_out="600000",
)
LAST_PACKAGE: Final = ExpectedCall(
    name="a call that opens the last package the credit pays",
    tokens=Tokens(prompt=1_400_000, completion=100_000),
    charged_in="0.50",
    charged_out="0.00",
    balance="0.00",
    ahead_in="100000",
    ahead_out="500000",
)
TOO_LARGE: Final = Tokens(prompt=200_000, completion=1_000)
"""Needs another input package: refused, while what is paid ahead stays usable."""

REMAINDER: Final = ExpectedCall(
    name="a call for exactly what is paid ahead",
    tokens=Tokens(prompt=100_000, completion=500_000),
    choices=5,
    charged_in="0.00",
    charged_out="0.00",
    balance="0.00",
    ahead_in="0",
    ahead_out="0",
)
SMALL: Final = Tokens(prompt=200, completion=20)
"""A call of a few words: refused where nothing is left, answered everywhere else."""

STREAMED: Final = ExpectedCall(
    name="a stream, after the top-up",
    tokens=Tokens(prompt=1_000, completion=640),
    stream=True,
    charged_in="0.50",
    charged_out="1.50",
    balance="3.00",
    ahead_in="999000",
    ahead_out="999360",
)
ABORTED: Final = ExpectedCall(
    name="a stream that the caller leaves after 5 chunks",
    tokens=Tokens(prompt=2_000, completion=1_600),
    stream=True,
    token_ms=3,
    leave_after_chunks=5,
    charged_in="0.00",
    charged_out="0.00",
    balance="3.00",
    ahead_in="997000",
    ahead_out="997760",
)

WITHOUT_CREDIT: Final = ExpectedCall(
    name="a postpaid customer needs no credit",
    tokens=Tokens(prompt=700_000, completion=60_000),
    charged_in="0.50",
    charged_out="1.50",
    balance="-2.00",
    ahead_in="300000",
    ahead_out="940000",
)
METERED: Final = ExpectedCall(
    name="and is metered alike",
    tokens=Tokens(prompt=500_000, completion=40_000),
    stream=True,
    charged_in="0.50",
    charged_out="0.00",
    balance="-2.50",
    ahead_in="800000",
    ahead_out="900000",
)

BEFORE_DUE: Final = ExpectedCall(
    name="an open invoice that is not due yet blocks nothing",
    tokens=SMALL,
    charged_in="0.50",
    charged_out="1.50",
    balance="-2.00",
    ahead_in="999800",
    ahead_out="999980",
)
AFTER_PAYING: Final = ExpectedCall(
    name="paid: the next call passes",
    tokens=SMALL,
    charged_in="0.00",
    charged_out="0.00",
    balance="-2.00",
    ahead_in="999600",
    ahead_out="999960",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedLine:
    """A price's line of an invoice: raw units, packages begun, dollars."""

    price: str
    quantity: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedInvoice:
    """An invoice of the first period; `balance` is the account's after it."""

    company: str
    lines: tuple[ExpectedLine, ...]
    total: str
    credit_applied: str
    amount_due: str
    status: str
    balance: str


PREPAID_INVOICE: Final = ExpectedInvoice(
    company=PREPAID,
    lines=(
        ExpectedLine(price=INPUT, quantity="5003000", amount="3.00"),
        ExpectedLine(price=OUTPUT, quantity="1002240", amount="3.00"),
    ),
    total="6.00",
    credit_applied="6.00",
    amount_due="0.00",
    status="paid",
    balance="3.00",
)
POSTPAID_INVOICE: Final = ExpectedInvoice(
    company=POSTPAID,
    lines=(
        ExpectedLine(price=INPUT, quantity="1200000", amount="1.00"),
        ExpectedLine(price=OUTPUT, quantity="100000", amount="1.50"),
    ),
    total="2.50",
    credit_applied="0.00",
    amount_due="2.50",
    status="open",
    balance="0.00",
)
INVOICES: Final = (PREPAID_INVOICE, POSTPAID_INVOICE)

"""Rows that the tests need beside what the first start makes: the seed's catalog and a subscription."""

from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import insert

from faregate.base.clock import SystemClock
from faregate.domain.ledger.burning import GrantKind
from faregate.services.accounts import open_account
from faregate.services.credit import NewGrant, give_grant
from faregate.services.gateway_calls import main_application
from faregate.storage import tables
from faregate.storage.database import Transaction
from faregate.storage.state_feed import record_change
from tests.builders import a_price, price_columns

STARTED_AT = datetime(2026, 1, 1, tzinfo=UTC)
COMPANY = "acme"
SUBSCRIPTION = "sub_1"
PRICE = "prc_in"
METER = "mtr_in"
ROUTE = "rte_1"
KEY = "key_1"


def add_catalog(transaction: Transaction) -> None:
    """A plan with one price of $0.50 per 1,000 tokens, its meter, and the route it meters."""
    own = {"application_id": main_application(transaction), "created_at": STARTED_AT}
    transaction.execute(insert(tables.plan).values(plan_id="pln_1", name="Plan", **own))
    transaction.execute(
        insert(tables.price).values(
            plan_id="pln_1",
            name="Input Tokens",
            **price_columns(a_price("0.50", 1000, price_id=PRICE), effective_at=STARTED_AT),
            **own,
        )
    )
    transaction.execute(
        insert(tables.meter).values(
            meter_id=METER,
            name="Input Token Meter",
            price_id=PRICE,
            definition=(
                '{"filter":"request.route == \\"/ai/chat\\"",'
                '"metric":{"type":"sum","field":"response.body.usage.prompt_tokens"}}'
            ),
            reporting_period="5m",
            **own,
        )
    )
    record_change(transaction, "meter", METER)


def add_subscription(transaction: Transaction, pays: str = "prepaid") -> None:
    """A company on the plan."""
    application_id = main_application(transaction)
    own = {"application_id": application_id, "company_id": COMPANY, "created_at": STARTED_AT}
    transaction.execute(insert(tables.company).values(name="Acme", **own))
    transaction.execute(
        insert(tables.subscription).values(
            subscription_id=SUBSCRIPTION,
            plan_id="pln_1",
            pays=pays,
            currency="USD",
            started_at=STARTED_AT,
            payment_terms_s=86_400,
            billed_until=STARTED_AT,
            **own,
        )
    )
    open_account(transaction, application_id=application_id, subscription_id=SUBSCRIPTION, now=STARTED_AT)
    record_change(transaction, "account", SUBSCRIPTION)


def add_key(transaction: Transaction) -> None:
    """A key of the company."""
    transaction.execute(
        insert(tables.api_key).values(
            key_id=KEY,
            application_id=main_application(transaction),
            company_id=COMPANY,
            user_id=None,
            name="laptop",
            hint="wxyz",
            key_hash="ab" * 32,
            replay=False,
            created_at=STARTED_AT,
        )
    )
    record_change(transaction, "key", KEY)


def grant(transaction: Transaction, amount: str, caller_id: str = "grant-1") -> None:
    """Paid credit."""
    wanted = NewGrant(
        application_id=main_application(transaction),
        subscription_id=SUBSCRIPTION,
        amount=Decimal(amount),
        kind=GrantKind.PAID,
        description="top-up",
        caller_id=caller_id,
    )
    give_grant(transaction, wanted, new_id=lambda prefix: f"{prefix}_{caller_id}", now=SystemClock().now())

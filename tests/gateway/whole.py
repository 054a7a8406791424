"""A gateway on a real control plane, both in the test's own event loop.

Input costs $0.50 per begun 1,000 tokens, output $0.001 a token.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import UNSET
from sqlalchemy import insert

from faregate.apps.control.main import RunningControlPlane, running_control_plane
from faregate.apps.control.settings import ControlSettings
from faregate.base.clock import SystemClock
from faregate.base.ids import new_id
from faregate.domain.catalog.models import PerUnit
from faregate.domain.governance.rule import Template
from faregate.services.change import Change
from faregate.services.gateway_calls import main_application
from faregate.services.limits import create_limit
from faregate.services.routes import route_to_row
from faregate.services.rules import create_rule
from faregate.storage import tables
from faregate.storage.database import Transaction
from faregate.storage.routes import insert_route
from faregate.storage.state_feed import record_change
from faregate.wire.api.limits import LimitCreate
from faregate.wire.api.rules import RuleCreate
from tests.builders import price_columns, priced
from tests.control.world import COMPANY, STARTED_AT, add_catalog, add_subscription, grant
from tests.gateway.control_plane import TOKEN, ControlPlane, route_state
from tests.gateway.running import Running, gateway


@dataclass
class Whole:
    """Both processes' parts."""

    gate: Running
    plane: RunningControlPlane

    async def limit(self, measure: str, amount: str) -> None:
        """Give every company a hard limit per day."""
        wanted = msgspec.convert(
            {"name": "Daily", "subject": "company", "measure": measure, "per": "day", "amount": amount}, LimitCreate
        )

        def make(transaction: Transaction) -> None:
            application_id = main_application(transaction)
            create_limit(
                transaction, Change(application_id=application_id, now=SystemClock().now(), new_id=new_id), wanted
            )

        await self.plane.database.write(make)


@asynccontextmanager
async def whole(
    folder: Path, upstream_url: str, *, granted: str | None = "5", pays: str = "prepaid", **route: object
) -> AsyncIterator[Whole]:
    """Run both; the company's key is `key-1`, its route `/ai/chat`."""
    settings = ControlSettings(port=0, data=folder / "control", gateway_token=TOKEN)
    async with running_control_plane(settings) as plane:
        await plane.database.write(lambda tx: _seed(tx, upstream_url, pays=pays, route=route))
        if granted is not None:
            await plane.database.write(lambda tx: grant(tx, granted))
        async with gateway(folder / "spool", ControlPlane(), plane_url=plane.origin) as gate:
            yield Whole(gate, plane)


def _seed(transaction: Transaction, upstream_url: str, *, pays: str, route: dict[str, object]) -> None:
    application_id = main_application(transaction)
    own = {"application_id": application_id, "created_at": STARTED_AT}
    add_catalog(transaction)
    output = priced(PerUnit(amount=Decimal("0.001")), price_id="prc_out")
    transaction.execute(
        insert(tables.price).values(
            plan_id="pln_1", name="Output Tokens", **price_columns(output, effective_at=STARTED_AT), **own
        )
    )
    transaction.execute(
        insert(tables.meter).values(
            meter_id="mtr_out",
            name="Output Token Meter",
            price_id="prc_out",
            definition=(
                '{"filter":"request.route == \\"/ai/chat\\"",'
                '"metric":{"type":"sum","field":"response.body.usage.completion_tokens"}}'
            ),
            reporting_period="5m",
            **own,
        )
    )
    record_change(transaction, "meter", "mtr_out")
    add_subscription(transaction, pays)
    for key, company_id in (("key-1", COMPANY), ("key-2", "globex")):
        if company_id != COMPANY:
            transaction.execute(insert(tables.company).values(company_id=company_id, name=company_id, **own))
        transaction.execute(
            insert(tables.api_key).values(
                key_id=key,
                company_id=company_id,
                user_id=None,
                name="laptop",
                hint="wxyz",
                key_hash=hashlib.sha256(key.encode()).hexdigest(),
                replay=False,
                **own,
            )
        )
        record_change(transaction, "key", key)
    state = route_state(upstream_url, application_id=application_id, **route)
    insert_route(transaction, route_to_row(state), created_at=STARTED_AT)
    record_change(transaction, "route", state.route_id)
    change = Change(application_id=application_id, now=SystemClock().now(), new_id=new_id)
    create_rule(transaction, change, RuleCreate(template=Template.BLOCK_WHEN_NO_AVAILABLE_CREDITS, name=UNSET))

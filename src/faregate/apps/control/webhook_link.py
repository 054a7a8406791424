"""Webhooks of the billing provider: checked on their raw bytes, kept durably, answered at once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import Final

import structlog

from faregate.apps.control.asgi import Answer, Request, json_answer, read_body
from faregate.base.clock import Clock
from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_WEBHOOK_BODY_BYTES
from faregate.services.take_webhook import take_event, verified_event
from faregate.storage.database import Database
from faregate.wire.stripe_webhooks import SIGNATURE_HEADER

_log: Final = structlog.stdlib.get_logger()


class WebhookLink:
    """Answers `POST /webhooks/stripe`. `secrets`: what the endpoint's deliveries may be signed with now."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        secrets: Callable[[], Collection[str]],
        after_commit: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._secrets = secrets
        self._after_commit = after_commit

    async def take(self, request: Request) -> Answer:
        """Keep an event once; 200 after it is durable, for a repeat too. 400 for what nobody we know has signed."""
        body = await read_body(request, MAX_WEBHOOK_BODY_BYTES)
        now = self._clock.now()
        try:
            event = verified_event(body, request.header(SIGNATURE_HEADER.encode()), secrets=self._secrets(), now=now)
        except InvalidInput as error:
            _log.warning("webhook.refused", error=error.message)
            raise
        is_new = await self._database.write(lambda tx: take_event(tx, event, received_at=now))
        self._after_commit()
        _log.info("webhook.taken", event_id=event.event_id, kind=event.kind, is_new=is_new)
        return json_answer({"received": True}, HTTPStatus.OK)

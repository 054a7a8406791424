"""What callers and upstreams of each dialect say, for tests that hold of all of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import pytest

from faregate.domain.catalog.price import Price
from faregate.wire.dialects.registry import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES
from faregate.wire.dialects.seam import MeteredDialect
from faregate.wire.event import WireEvent
from tests.gateway.control_plane import ControlPlane, package
from tests.gateway.running import Running, gateway
from tests.gateway.scripted import Script, ScriptedUpstream, scripted
from tests.support.dialect_streams import GENERIC, GENERIC_SETTINGS, Sample, sample_of

CENT: Final = 10_000_000
"""A cent in ledger units of USD."""

TEXTS: Final = ("The moon", " is far", " away,", " as far", " as ten", " worlds.")


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A dialect. `names`: its fields of input and output; `upstream`: what follows an upstream's origin on a route;
    `path`: where a call arrives below the origin; `whole`: an answer that is not streamed, of 31 and 17 tokens."""

    dialect: MeteredDialect
    names: tuple[str, str]
    upstream: str
    path: str
    asked: dict[str, object]
    limit: str
    whole: dict[str, object]
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def stream(self) -> Sample:
        return sample_of(self.dialect, TEXTS)

    @property
    def ask(self) -> dict[str, object]:
        return {"model": "m", self.limit: 100} | self.asked

    @property
    def body(self) -> bytes:
        return json.dumps(self.whole).encode()

    def sell_output(self, plane: ControlPlane, origin: str, *, tokens: int, **route: object) -> None:
        """Set up the one route of a plane: an output token costs a cent, and there is credit for so many."""
        prices = {self.names[1]: package("output", size=1, amount="0.01")}
        self._seed(plane, origin, prices, route, granted=tokens * CENT)

    def seed(self, plane: ControlPlane, origin: str, **route: object) -> None:
        """Set up the one route of a plane in this dialect; `origin` as `scripted` gives it."""
        read, wrote = self.names
        prices = {
            read: package("input", size=1_000_000, amount="0.50"),
            wrote: package("output", size=1_000_000, amount="1.50"),
        }
        self._seed(plane, origin, prices, route)

    @asynccontextmanager
    async def serve(
        self, folder: Path, script: Script, *, tokens: int | None = None, **route: object
    ) -> AsyncIterator[tuple[Running, ScriptedUpstream]]:
        """Run a gateway before an upstream of that script, as `seed` sets it up; with `tokens` as `sell_output`."""
        async with scripted(script) as upstream:
            plane = ControlPlane()
            if tokens is None:
                self.seed(plane, upstream.origin, **route)
            else:
                self.sell_output(plane, upstream.origin, tokens=tokens, **route)
            async with gateway(folder, plane) as gate:
                yield gate, upstream

    def _seed(
        self, plane: ControlPlane, origin: str, prices: dict[str, Price], route: dict[str, object], **granted: int
    ) -> None:
        settings = {"dialect": self.dialect.name} | self.settings | route
        plane.seed(origin.removesuffix("/v1") + self.upstream, prices=prices, route=settings, **granted)


def tokens_of(event: WireEvent) -> tuple[int, int] | None:
    """Return what an event says was read and written, cached input included; None where it says nothing."""
    assert event.response is not None
    body = event.response.body
    if body is None or body.get("tokens") is None:
        return None
    tokens = body["tokens"]
    return tokens["total"] - tokens["output"], tokens["output"]


def is_estimated(event: WireEvent) -> bool:
    assert event.faregate is not None
    return event.faregate.estimated


_QUESTION: Final = [{"role": "user", "content": "How far is the moon?"}]
CHAT: Final = Spoken(
    dialect=OPENAI_CHAT,
    names=("prompt_tokens", "completion_tokens"),
    upstream="/v1",
    path="/v1/chat/completions",
    asked={"messages": _QUESTION},
    limit="max_tokens",
    whole={
        "id": "chatcmpl-1",
        "model": "gpt-x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "".join(TEXTS)}}],
        "usage": {"prompt_tokens": 31, "completion_tokens": 17, "total_tokens": 1},
    },
)
RESPONSES: Final = Spoken(
    dialect=OPENAI_RESPONSES,
    names=("input_tokens", "output_tokens"),
    upstream="/v1",
    path="/v1/responses",
    asked={"input": "How far is the moon?"},
    limit="max_output_tokens",
    whole={
        "id": "resp_1",
        "model": "gpt-x",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "".join(TEXTS)}]}],
        "usage": {"input_tokens": 31, "output_tokens": 17, "total_tokens": 1},
    },
)
MESSAGES: Final = Spoken(
    dialect=ANTHROPIC_MESSAGES,
    names=("input_tokens", "output_tokens"),
    upstream="",
    path="/v1/messages",
    asked={"messages": _QUESTION},
    limit="max_tokens",
    whole={
        "id": "msg_1",
        "model": "claude-x",
        "content": [{"type": "text", "text": "".join(TEXTS)}],
        "usage": {"input_tokens": 31, "output_tokens": 17},
    },
)
OWN: Final = Spoken(
    dialect=GENERIC,
    names=("input", "output"),
    upstream="/own",
    path="/own",
    asked={"question": "How far is the moon?"},
    limit="limit",
    whole={"piece": "".join(TEXTS), "meter": {"read": 31, "wrote": 17}},
    settings={"generic_json": msgspec.to_builtins(GENERIC_SETTINGS)},
)
EVERY: Final = (CHAT, RESPONSES, MESSAGES, OWN)
every: Final = pytest.mark.parametrize("spoken", EVERY, ids=[spoken.dialect.name for spoken in EVERY])
providers: Final = pytest.mark.parametrize("spoken", EVERY[:3], ids=[spoken.dialect.name for spoken in EVERY[:3]])

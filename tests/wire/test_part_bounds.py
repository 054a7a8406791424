"""Parts of a request that are no text: what a route's bounds let in, what they add, and what stays refused."""

from __future__ import annotations

import json

import pytest

from faregate.base.errors import InvalidInput
from faregate.wire.dialects.registry import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES
from faregate.wire.dialects.seam import MeteredDialect, MeteredRequest
from faregate.wire.dialects.settings import PartBounds

BOUNDS = PartBounds(image=1_000, audio=2_000, file=3_000, stored=4_000, tool=5_000)
SOUND = {"data": "eA==", "format": "wav"}


def chat(*parts: object, **fields: object) -> tuple[MeteredDialect, dict[str, object]]:
    return OPENAI_CHAT, {"messages": [{"role": "user", "content": list(parts)}]} | fields


def responses(*parts: object, **fields: object) -> tuple[MeteredDialect, dict[str, object]]:
    return OPENAI_RESPONSES, {"input": [{"role": "user", "content": list(parts)}]} | fields


def messages(*blocks: object, **fields: object) -> tuple[MeteredDialect, dict[str, object]]:
    return ANTHROPIC_MESSAGES, {"messages": [{"role": "user", "content": list(blocks)}]} | fields


def read(dialect: MeteredDialect, body: dict[str, object]) -> MeteredRequest:
    return dialect.read_request(json.dumps(body, separators=(",", ":")).encode())


def size(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":")))


@pytest.mark.parametrize(
    ("asked", "kind", "added"),
    [
        (chat({"type": "image_url", "image_url": {"url": "u"}}), "image", 1_000 - size({"url": "u"})),
        (chat({"type": "input_audio", "input_audio": SOUND}), "audio", 2_000 - size(SOUND)),
        (chat({"type": "file", "file": {"file_id": "f"}}), "file", 3_000 - size({"file_id": "f"})),
        ((OPENAI_CHAT, {"messages": [{"role": "assistant", "audio": {"id": "a"}}]}), "audio", 2_000),
        (chat(web_search_options={}), "tool", 5_000),
        (responses({"type": "input_image", "image_url": "u"}), "image", 1_000 - size("u")),
        (responses({"type": "input_image", "file_id": "f"}), "image", 1_000),
        (responses({"type": "input_audio", "input_audio": SOUND}), "audio", 2_000 - size(SOUND)),
        (responses({"type": "input_file", "file_data": "eA=="}), "file", 3_000 - size("eA==")),
        (responses(previous_response_id="r"), "stored", 4_000),
        (responses(conversation={"id": "c"}, prompt={"id": "p"}), "stored", 8_000),
        (responses(tools=[{"type": "web_search"}, {"type": "function"}]), "tool", 5_000),
        ((OPENAI_RESPONSES, {"input": [{"type": "item_reference", "id": "i"}]}), "stored", 4_000),
        (messages({"type": "image", "source": {"data": "eA=="}}), "image", 1_000 - size({"data": "eA=="})),
        (messages({"type": "document", "source": {"type": "url"}}), "file", 3_000 - size({"type": "url"})),
        (
            messages({"type": "tool_result", "content": [{"type": "image", "source": {"data": "x"}}]}),
            "image",
            1_000 - size({"data": "x"}),
        ),
        (messages(tools=[{"type": "web_search_20250305"}, {"type": "custom"}]), "tool", 5_000),
    ],
)
def test_a_bounded_part_adds_its_bound_less_its_own_bytes(
    asked: tuple[MeteredDialect, dict[str, object]], kind: str, added: int
) -> None:
    request = read(*asked)
    assert request.require_bounded(BOUNDS) == added
    with pytest.raises(InvalidInput):
        request.require_bounded()
    others = {name: getattr(BOUNDS, name) for name in PartBounds.__struct_fields__ if name != kind}
    with pytest.raises(InvalidInput):
        request.require_bounded(PartBounds(**others))


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (chat({"type": "video"}), "messages[0].content[0]"),
        (chat(modalities=["audio"]), "modalities"),
        (chat(prediction={"type": "content"}), "prediction"),
        (responses({"type": "input_video"}), "input[0].content[0]"),
        (responses(background=True), "background"),
        (responses(context_management=[{}]), "context_management"),
        ((OPENAI_RESPONSES, {"input": [{"type": "computer_call"}]}), "input[0]"),
        (messages({"type": "container_upload"}), "messages[0].content[0]"),
        (messages(mcp_servers=[{}]), "mcp_servers"),
        (messages(container="c"), "container"),
    ],
)
def test_what_no_bound_is_for_stays_refused(asked: tuple[MeteredDialect, dict[str, object]], named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(*asked).require_bounded(BOUNDS)
    assert refused.value.faults[0].field == named


def test_a_request_of_text_alone_adds_nothing_and_names_its_model() -> None:
    for dialect, body in (chat(), responses(), messages()):
        request = read(dialect, body | {"model": "m"})
        assert (request.require_bounded(BOUNDS), request.model) == (0, "m")

"""What the sandbox's hosted pages share: their shape, their addresses, and the tokens of their forms."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.faults import Json, refused

_PAGE: Final = "sandbox.page"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedPage:
    """A page: its kind, what it shows, where its forms may lead besides itself, what was wrong with the last one."""

    kind: str
    shown: Json
    targets: tuple[str, ...] = ()
    fault: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedRedirect:
    """Where the browser is to go."""

    url: str


Hosted = HostedPage | HostedRedirect
Form = Mapping[str, str]


def path_of(sandbox: Sandbox, kind: str, identifier: str) -> str:
    """Return a page's address on its own site, under whichever name the browser has of that."""
    return f"{urlsplit(sandbox.pages_url).path}/{kind}/{identifier}"


def page_state(sandbox: Sandbox, identifier: str) -> Json:
    """Return what is kept of a page: how often it was submitted, and where it leads once its action is gone."""
    found = sandbox.store.find(_PAGE, "of", identifier)
    return found[0] if found else {"turn": 0, "return_url": None}


def token_of(sandbox: Sandbox, identifier: str) -> str:
    """Return the token of a page's forms, good until one of them is submitted."""
    text = f"{identifier}:{page_state(sandbox, identifier)['turn']}".encode()
    return hmac.new(sandbox.key.encode(), text, hashlib.sha256).hexdigest()


def take_token(sandbox: Sandbox, identifier: str, token: str) -> None:
    """Use a form's token up; raises `StripeFault` for another one."""
    if not hmac.compare_digest(token, token_of(sandbox, identifier)):
        raise refused("This form was sent already. Look at the page as it is now, and send it again if need be.")
    page = page_state(sandbox, identifier)
    after = page | {"id": f"{identifier}_page", "object": _PAGE, "turn": page["turn"] + 1}
    if page["turn"] == 0:
        sandbox.store.add(after, of=identifier)
    else:
        sandbox.store.put(after)

"""How a call of Stripe is made: pinned, bounded in time, made again where that may help, its errors told in our words.

The SDK does not retry here: it leaves 429 alone, and its waits know nothing of our time limit. A call is made again
after 429 and 409 (another request holds the lock or the idempotency key), 5xx, a broken connection and a timeout, with
waits that grow and jitter, for `_PATIENCE_S` in all.
Sources: https://docs.stripe.com/rate-limits, https://docs.stripe.com/error-low-level,
https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import stamina

from faregate.base.errors import ConfigurationError, Conflict, FaregateError, InvalidInput, NotFound, Unavailable
from faregate.base.limits import PROVIDER_TIMEOUT_S
from faregate.providers.stripe_version import API_VERSION

if TYPE_CHECKING:
    from stripe import StripeClient, StripeError

T = TypeVar("T")

Connecting: TypeAlias = "Callable[[], StripeClient]"
"""What gives a client when it is first needed, since that loads the SDK."""

_REQUEST_TIMEOUT_S: Final = PROVIDER_TIMEOUT_S / 3
_PATIENCE_S: Final = PROVIDER_TIMEOUT_S / 2
_TRIES: Final = 6
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 4.0

_KEY: Final = re.compile(r"(?:sk|rk)_(test|live)_\w+")
_ANY_KEY: Final = re.compile(r"\b(sk|rk|whsec)_\w+")
_MISSING: Final = re.compile(r"No such ([\w. ]+): '?([^';]*)'?")
_LOCKED: Final = "lock_timeout"
_LATER_KEY: Final = re.compile(r"~[1-9][0-9]*\Z")


def is_live(key: str) -> bool:
    """Return whether a secret or restricted key is of live mode; raises `ConfigurationError` for anything else."""
    found = _KEY.fullmatch(key)
    if found is None:
        message = (
            "the Stripe key is no secret or restricted key: those begin with sk_test_, rk_test_, sk_live_ or rk_live_"
        )
        raise ConfigurationError(message)
    return found[1] == "live"


def connect(key: str, *, base_url: str | None = None) -> StripeClient:
    """Return a client of the pinned version, safe on any thread. `base_url`: where another than Stripe answers.

    The SDK is loaded here, not before. Raises `ConfigurationError` for what is no key.
    """
    from stripe import RequestsClient, StripeClient  # noqa: PLC0415 - ten megabytes, and 0.4 s of a start

    is_live(key)
    return StripeClient(
        key,
        stripe_version=API_VERSION,
        max_network_retries=0,
        base_addresses={} if base_url is None else {"api": base_url, "meter_events": base_url, "files": base_url},
        http_client=RequestsClient(timeout=_REQUEST_TIMEOUT_S),
    )


def asked(call: Callable[[], T]) -> T:
    """Return what a call answers that may be made any number of times: one that reads, or bears its idempotency key.

    Raises `Unavailable` where repeating later may help; `NotFound`, `Conflict`, `InvalidInput` on Stripe's parameter,
    and `ConfigurationError` for a key that is refused, where it will not.
    """
    from stripe import StripeError  # noqa: PLC0415 - see `connect`

    try:
        return _repeated(call, is_passing)
    except StripeError as error:
        # Not chained: Stripe's words are in ours, without what may be a key.
        raise translated(error) from None


class StripeAccount:
    """An account, asked through one client. `connecting` gives the client, at the first call: it loads the SDK."""

    def __init__(self, connecting: Connecting) -> None:
        self._connecting = connecting

    @cached_property
    def _client(self) -> StripeClient:
        return self._connecting()

    @cached_property
    def _account(self) -> str:
        return asked(self._client.v1.accounts.retrieve_current).id

    def account(self) -> str:
        """Return the account's id."""
        return self._account


def created(create: Callable[[str], T], *, key: str, find: Callable[[], T | None]) -> T:
    """Return what `create` makes under an idempotency key, or what `find` reads where it stands already.

    Stripe keeps what a key was answered for a day, and that may be 429 `lock_timeout`, which says that another request
    held the object: the same key can then never succeed. So what stands is read; if it is not there, the next key of
    the series `key`, `key~1`, `key~2` is used. A later call of this function begins with `key` again, is answered as
    before, and comes to the same keys: no object is made twice. Raises as `asked` does.
    """
    from stripe import RateLimitError  # noqa: PLC0415 - see `connect`

    uses = 0

    def create_or_find() -> T:
        nonlocal uses
        try:
            return create(key if uses == 0 else f"{key}~{uses}")
        except RateLimitError as error:
            if code_of(error) != _LOCKED:
                raise
            uses += 1
            found = find()
            if found is None:
                raise
            return found

    return asked(create_or_find)


def first_key(key: str) -> str:
    """Return the key that the series of `created` began with."""
    return _LATER_KEY.sub("", key)


def is_passing(error: Exception) -> bool:
    """Return whether an error of the SDK is one that the same call may not meet again."""
    from stripe import APIConnectionError, RateLimitError, StripeError  # noqa: PLC0415 - see `connect`

    if isinstance(error, (APIConnectionError, RateLimitError)):
        return True
    return isinstance(error, StripeError) and (
        error.http_status in {HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
        or (error.http_status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def code_of(error: StripeError) -> str | None:
    """Return Stripe's code of an error; the SDK leaves it in the body for some kinds."""
    return error.code or (None if error.error is None else error.error.code)


def translated(error: StripeError) -> FaregateError:
    """Return an error of the SDK as one of ours, with Stripe's words and the request's id, without any key."""
    from stripe import AuthenticationError, IdempotencyError, PermissionError  # noqa: A004, PLC0415 - see `connect`

    words = without_keys(error.user_message or type(error).__name__)
    told = words if error.request_id is None else f"{words} (Stripe's request {error.request_id})"
    if is_passing(error):
        return Unavailable(f"Stripe did not answer: {told}")
    if isinstance(error, (AuthenticationError, PermissionError)):
        return ConfigurationError(f"Stripe refused the key: {told}")
    missing = _MISSING.search(words)
    if error.http_status == HTTPStatus.NOT_FOUND or code_of(error) == "resource_missing":
        return NotFound(*missing.groups()) if missing else NotFound("object at Stripe", told)
    param = getattr(error, "param", None) or "request"
    if isinstance(error, IdempotencyError) or code_of(error) == "resource_already_exists":
        return Conflict(param, told)
    return InvalidInput.of(param, told)


def without_keys(text: str) -> str:
    """Return a text with what looks like a secret of Stripe's taken out."""
    return _ANY_KEY.sub(r"\1_...", text)


def _repeated(call: Callable[[], T], is_repeatable: Callable[[Exception], bool]) -> T:
    attempts = stamina.retry_context(
        on=is_repeatable,
        attempts=_TRIES,
        timeout=_PATIENCE_S,
        wait_initial=_FIRST_WAIT_S,
        wait_max=_LONGEST_WAIT_S,
        wait_jitter=_FIRST_WAIT_S,
    )
    for attempt in attempts:
        with attempt:
            return call()
    raise AssertionError("the last attempt returns or raises")

"""How a command that asks the management API ends: with its answer, or a plain line for each thing that is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec
from pyreqwest.exceptions import PyreqwestError

from faregate.apps.cli.management import Refused, ask, is_url
from faregate.wire.api.common import Page
from faregate.wire.problem import Problem

T = TypeVar("T")

PAGE_ROWS: Final = 1_000


class Unanswerable(Exception):
    """There is no answer to what was asked; the text says why, in a line."""


def detail_of(problem: Problem) -> list[str]:
    """Return a problem as one line."""
    return [problem.detail]


def answered(
    question: Callable[[], T],
    *,
    api_url: str,
    show: Callable[[T], None],
    faults: Callable[[Problem], list[str]] = detail_of,
    is_well: Callable[[T], bool] = lambda _: True,
) -> int:
    """Ask, and show the answer. Return 0, or 1 after printing why not; `faults`: the lines of a refusal.

    An answer that is shown and not `is_well` ends with 1 too.
    """
    if not is_url(api_url):
        return fail(f"api_url: {api_url!r} is not a URL such as 'http://127.0.0.1:8080'")
    try:
        answer = question()
    except Refused as refused:
        return fail(*faults(refused.problem))
    except Unanswerable as error:
        return fail(str(error))
    except (PyreqwestError, msgspec.DecodeError, ValueError) as error:
        return fail(f"the control plane at {api_url} did not answer as expected: {error}")
    show(answer)
    return 0 if is_well(answer) else 1


def fail(*lines: str) -> int:
    """Print what is wrong; return the exit status for it."""
    for line in lines:
        print(line, file=sys.stderr)
    return 1


def print_json(document: object) -> None:
    """Print a document for machines."""
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def read_rows(url: str, token: str, page: type[Page[T]]) -> Iterator[T]:
    """Yield the rows of a list, page after page, as far as they are wanted; failures as `ask`."""
    cursor = ""
    separator = "&" if "?" in url else "?"
    while True:
        part = msgspec.json.decode(ask("GET", f"{url}{separator}limit={PAGE_ROWS}{cursor}", token), type=page)
        yield from part.data
        if part.next_cursor is None:
            return
        cursor = f"&cursor={part.next_cursor}"

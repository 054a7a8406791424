"""What every change to an application's own records takes beside the change itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from faregate.base.ids import IdSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The application that is changed, its business time at the change, and where new ids come from.

    `is_part`: one of several changes of one transaction, whose maker checks at the end what holds for all together.
    """

    application_id: str
    now: datetime
    new_id: IdSource
    is_part: bool = False

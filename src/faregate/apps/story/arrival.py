"""When what an operator changed has reached the gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from faregate.apps.story.calling import Caller
from faregate.apps.story.management import Management
from faregate.wire.api.customers import NewKeyView

WITHIN_S: Final = 15.0


async def changes_arrived(management: Management, caller_for: Callable[[str], Caller], company_id: str) -> bool:
    """Return whether all changes so far have reached the gateway, waiting for them up to a time.

    Changes arrive in their order: a key made now is the last that the gateway hears of. It is revoked afterwards.
    """
    made = await management.post("/keys", {"company_id": company_id, "name": "marker"}, NewKeyView)
    known = await caller_for(made.key).known(within_s=WITHIN_S)
    await management.delete(f"/keys/{made.key_id}")
    return known

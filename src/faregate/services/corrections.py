"""Ask for the cancellation or the correction of an event: a record behind it in the log, which the applier reads."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from faregate.base.errors import Conflict, InvalidInput, Unavailable
from faregate.base.limits import MAX_EVENT_BYTES
from faregate.services.change import Change
from faregate.services.find_event import event_id_of, find_event
from faregate.services.take_back import require_as_charged
from faregate.storage.corrections import (
    Correction,
    correction_of,
    find_admitted,
    find_correction,
    insert_correction,
)
from faregate.storage.database import Transaction
from faregate.storage.events import append_to_log, consumer_position, log_head
from faregate.storage.incident_calls import incident_that_credited
from faregate.wire.api.corrections import CorrectionKind, CorrectionView
from faregate.wire.event import as_utc, corrected_body, decode_event, patch_text

CANCELLED = ""


def cancel_event(
    transaction: Transaction, change: Change, event_id: str, *, correction_id: str, reason: str
) -> Correction:
    """Ask that an event no longer counts. A repeat of `correction_id` answers with the first request.

    `NotFound` where there is no such event; `Unavailable` before it is metered; `Conflict` where something takes it
    back already, where it counts nowhere, or where `correction_id` names another request.
    """
    return _ask(transaction, change, event_id, correction_id=correction_id, reason=reason, fields=None)


def correct_event(
    transaction: Transaction,
    change: Change,
    event_id: str,
    *,
    correction_id: str,
    reason: str,
    fields: Mapping[str, object],
) -> Correction:
    """Ask that an event counts as one with these fields changed. Errors as `cancel_event`.

    `fields` is a JSON merge patch (RFC 7396) of the event. `InvalidInput` on `event` where no event comes of it, where
    it changes nothing, or where it changes when the call happened or what the gateway knows of it.
    """
    return _ask(transaction, change, event_id, correction_id=correction_id, reason=reason, fields=fields)


def _ask(
    transaction: Transaction,
    change: Change,
    event_id: str,
    *,
    correction_id: str,
    reason: str,
    fields: Mapping[str, object] | None,
) -> Correction:
    logged = find_event(transaction, change.application_id, event_id)
    text = CANCELLED if fields is None else patch_text(fields)
    repeated = find_correction(transaction, change.application_id, correction_id)
    if repeated is not None:
        if (repeated.event_position, repeated.change) != (logged.position, text):
            raise Conflict("Idempotency-Key", "names another correction already")
        return repeated
    _require_free(transaction, logged.position)
    admitted = find_admitted(transaction, change.application_id, logged.position)
    if admitted is None:
        raise Conflict("event_id", "counts nowhere: it was set aside, repeats another event, or is no event")
    require_as_charged(transaction, change.application_id, admitted)
    body = None if fields is None else _corrected(logged.body, fields)
    record = {"cancels": event_id_of(logged.position), "correction_id": correction_id, "reason": reason}
    position = _append(transaction, change, msgspec.json.encode(record))
    correction = Correction(
        position=position,
        application_id=change.application_id,
        correction_id=correction_id,
        event_position=logged.position,
        replacement_position=None if body is None else _append(transaction, change, body),
        company_id=admitted.company_id,
        occurred_at=admitted.occurred_at,
        change=text,
        reason=reason,
        created_at=change.now,
    )
    insert_correction(transaction, correction)
    return correction


def _require_free(transaction: Transaction, position: int) -> None:
    if consumer_position(transaction) < position:
        raise Unavailable("the event is not metered yet; send the request again in a moment")
    standing = correction_of(transaction, position)
    if standing is None:
        credited_by = incident_that_credited(transaction, position)
        if credited_by is not None:
            raise Conflict("event_id", f"is credited by the incident credit {credited_by!r}; undo that first")
        return
    if standing.replacement_position is None:
        raise Conflict("event_id", f"is cancelled already, by the correction {standing.correction_id!r}")
    raise Conflict(
        "event_id",
        f"is corrected already, by the correction {standing.correction_id!r}: "
        f"correct {event_id_of(standing.replacement_position)}, which stands for it",
    )


def _corrected(body: bytes, fields: Mapping[str, object]) -> bytes:
    corrected = corrected_body(body, fields)
    if len(corrected) > MAX_EVENT_BYTES:
        raise InvalidInput.of("event", f"must come to at most {MAX_EVENT_BYTES} bytes")
    before, after = decode_event(body), decode_event(corrected)
    if as_utc(before.request.time) != as_utc(after.request.time):
        raise InvalidInput.of("event.request.time", "stays as it is: cancel the event, and send another")
    if before.faregate != after.faregate:
        raise InvalidInput.of("event.faregate", "is the gateway's own, and stays as it is")
    if corrected == corrected_body(body, {}):
        raise InvalidInput.of("event", "must change a field of the event")
    return corrected


def _append(transaction: Transaction, change: Change, body: bytes) -> int:
    append_to_log(transaction, change.application_id, [body], ingested_at=change.now)
    return log_head(transaction)


def correction_view(correction: Correction) -> CorrectionView:
    """Return a correction as it travels."""
    replacement = correction.replacement_position
    return CorrectionView(
        correction_id=correction.correction_id,
        kind=CorrectionKind.CANCELLED if replacement is None else CorrectionKind.CORRECTED,
        event_id=event_id_of(correction.event_position),
        replacement_event_id=None if replacement is None else event_id_of(replacement),
        reason=correction.reason,
        created_at=correction.created_at,
        applied_at=correction.applied_at,
    )

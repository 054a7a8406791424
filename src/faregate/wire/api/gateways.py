"""Gateways as operators see them."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from faregate.domain.ledger.lost_units import LostUnits


class GatewayView(Struct, frozen=True, kw_only=True):
    """A gateway, named by its spool folder.

    `units` are out in its leases; `suspended` is the money, by currency, that would be available without them.
    `applied_sequence`: its events are applied up to there; `settles_through`: once they are applied up to there, what
    its earlier processes held is free.
    """

    gateway_id: str
    epoch: int
    connected: bool
    seen_at: datetime
    applied_sequence: int
    settles_through: int | None
    units: int
    suspended: dict[str, str]


class GatewayList(Struct, frozen=True, kw_only=True):
    """All gateways that ever opened an epoch, by id."""

    data: list[GatewayView]


class GatewaySettle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of the units of a gateway that does not come back: `release` or `charge`; `keep` changes nothing."""

    units: LostUnits

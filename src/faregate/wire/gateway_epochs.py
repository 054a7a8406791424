"""What a gateway process says of itself: that it starts, and what of earlier ones is settled (docs/decisions/0003)."""

from __future__ import annotations

from msgspec import Struct


class OpenEpoch(Struct, frozen=True, kw_only=True):
    """A gateway process starts. `gateway_id` lives in its spool folder.

    `epoch`: the one that the process has, where it opens another because the ledger was restored.
    """

    gateway_id: str
    epoch: int = 0


class EpochOpened(Struct, frozen=True, kw_only=True):
    """The epoch that this process writes on everything it sends.

    `applied_sequence`: the ledger has this gateway's events up to there; None where it may have more.
    """

    epoch: int
    generation: int
    applied_sequence: int | None = None


class ReleaseEarlierEpochs(Struct, frozen=True, kw_only=True):
    """All leases of earlier epochs are free once events up to `through_sequence` are applied."""

    gateway_id: str
    epoch: int
    through_sequence: int

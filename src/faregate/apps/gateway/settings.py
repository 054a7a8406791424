"""What a gateway process must be told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Everything `run_gateway` needs.

    `control_plane_url`: scheme and authority, without a path. `gateway_token`: what the control plane knows this fleet
    by. `spool_folder`: the process's own; it is created, locked, and must be the same at the next start. `environment`:
    what route headers such as `Bearer ${OPENAI_API_KEY}` may name.
    """

    control_plane_url: str
    gateway_token: str = field(repr=False)
    spool_folder: Path
    host: str = "127.0.0.1"
    port: int = 8000
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    segment_bytes: int = 16 << 20
    spool_most_bytes: int = 1 << 30
    stop_within_s: float = 5.0

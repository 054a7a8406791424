"""What the control plane process can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from faregate.domain.ledger.lost_units import LostUnits

LOST_GATEWAY_GRACE_S: Final = 3_600
DATABASE_FILE: Final = "faregate.sqlite3"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    """Port 0 takes a free one. Without a `database_url`, state is kept in SQLite in the `data` folder.

    `lost_gateways`: what becomes of the units of a gateway that was not there for `lost_gateway_grace_s`.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    data: Path = Path("faregate-data")
    database_url: str | None = field(default=None, repr=False)
    gateway_token: str = field(repr=False)
    lost_gateways: LostUnits = LostUnits.KEEP
    lost_gateway_grace_s: int = LOST_GATEWAY_GRACE_S

    def resolved_database_url(self) -> str:
        """Return the SQLAlchemy URL of the database."""
        return self.database_url or f"sqlite:///{self.data / DATABASE_FILE}"

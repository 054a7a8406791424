"""Column types that both databases keep exactly."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Integer, LargeBinary, Text, TypeDecorator

from faregate.base.clock import from_microseconds, to_microseconds

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as microseconds since the epoch."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return microseconds."""
        del dialect
        return None if value is None else to_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Return the datetime."""
        del dialect
        return None if value is None else from_microseconds(value)


class Exact(TypeDecorator[Decimal]):
    """A decimal quantity or rate, kept as its text: SQLite's numeric type would lose digits in silence."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        """Return the plain numeral."""
        del dialect
        return None if value is None else f"{value:f}"

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        """Return the decimal."""
        del dialect
        return None if value is None else Decimal(value)


Units = BigInteger
"""Ledger units, minor units, or service units: signed 64 bits."""

Serial = BigInteger().with_variant(Integer, "sqlite")
"""A row number the database gives; SQLite's rowid needs the type INTEGER."""

Digest = LargeBinary(16)

"""The version of Stripe's API that all of Faregate speaks: the adapter, its webhook endpoints, the sandbox."""

from __future__ import annotations

from typing import Final

API_VERSION: Final = "2026-10-28.endive"

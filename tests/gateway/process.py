"""A gateway as a process of its own, for tests that kill it: `python -m tests.gateway.process FOLDER PLANE_URL
PORT`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from faregate.apps.gateway.main import run_gateway
from tests.gateway.running import settings_for

if __name__ == "__main__":
    asyncio.run(run_gateway(settings_for(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))

"""The demo upstream as a process of its own: `python -m faregate.apps.upstream --port 9801 --log calls.jsonl`.

Prints one line when it answers, which ends in its origin; SIGINT and SIGTERM stop it cleanly. As a child of `faregate
demo` it prints nothing, and ends with it.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from faregate.apps.lifeline import follow_supervisor, is_supervised
from faregate.apps.upstream.serving import running_upstream
from faregate.base.errors import FaregateError


def main() -> int:
    """Run until told to stop; return the exit status: 0, or 1 where it could not start."""
    parser = argparse.ArgumentParser(
        prog="python -m faregate.apps.upstream",
        description="An OpenAI-compatible upstream without a model, for demos, tests and benches.",
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--log", type=Path, help="file that gets a JSON line as each call begins and ends")
    arguments = parser.parse_args()
    follow_supervisor()
    try:
        uvloop.run(_run(arguments.port, arguments.log))
    except (FaregateError, OSError) as error:
        print(f"demo upstream: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(port: int, log_path: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running_upstream(port=port, log_path=log_path) as upstream:
        if not is_supervised():
            print(f"demo upstream listening on {upstream.origin}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())

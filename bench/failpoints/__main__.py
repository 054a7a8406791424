"""`python -m bench.failpoints --seeds 1 2 3`: a trial for each seed; exit status 1 where one finds a fault."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.children import end_in_order
from bench.failpoints.trial import run_failpoints
from bench.reports import to_json


def main() -> int:
    """Run the trials and print what they came to, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.failpoints", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--keep", type=Path, help="folder for the processes' data and logs, kept")
    arguments = parser.parse_args()
    end_in_order()
    held = True
    for seed in arguments.seeds:
        report = run_failpoints(
            seed=seed,
            show=lambda text: print(text, file=sys.stderr),
            keep=arguments.keep and arguments.keep / str(seed),
        )
        print(to_json(report), flush=True)
        held = held and not report.faults and not report.missed
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())

"""`python -m bench.crash --rounds 20`: the crash rounds alone; exit status 1 where the judge finds a fault."""

from __future__ import annotations

import argparse
import sys

from bench.children import end_in_order
from bench.crash.rounds import run_rounds
from bench.reports import to_json


def main() -> int:
    """Run the rounds and print what they came to, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.crash", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    end_in_order()
    report = run_rounds(arguments.rounds, seed=arguments.seed, show=lambda text: print(text, file=sys.stderr))
    print(to_json(report))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m bench.aborts`: the broken streams alone; exit status 1 where one is not billed by the policy, once."""

from __future__ import annotations

import argparse
import sys

from bench.aborts.trial import run_aborts
from bench.children import end_in_order
from bench.reports import to_json


def main() -> int:
    """Run the cases and print what they came to, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.aborts", description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="play one of so many cases")
    arguments = parser.parse_args()
    end_in_order()
    found = run_aborts(every=arguments.every, show=lambda text: print(text, file=sys.stderr))
    print(to_json(found))
    return 1 if any(aborted.faults for aborted in found) else 0


if __name__ == "__main__":
    sys.exit(main())

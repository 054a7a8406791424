"""`python -m bench.overspend`: ten minutes of trying to overspend; exit status 1 where a bar does not hold."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.children import end_in_order
from bench.limits import FULL as FULL_LIMITS
from bench.limits import QUICK as QUICK_LIMITS
from bench.overspend.rounds import FULL, QUICK, run_overspend
from bench.reports import to_json, write_json


def main() -> int:
    """Run a trial and print what it came to, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.overspend", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="60 customers, half a minute, three kills")
    parser.add_argument("--postgres", action="store_true", help="the control plane's state in PostgreSQL")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="file for the report")
    parser.add_argument("--keep", type=Path, help="folder for the processes' data and logs, kept")
    arguments = parser.parse_args()
    end_in_order()
    report = run_overspend(
        QUICK if arguments.quick else FULL,
        seed=arguments.seed,
        on_postgres=arguments.postgres,
        show=lambda text: print(text, file=sys.stderr),
        keep=arguments.keep,
    )
    print(to_json(report))
    write_json(arguments.json, report)
    limits = QUICK_LIMITS if arguments.quick else FULL_LIMITS
    spent, wrong = report.spent_part >= limits.least_spent_part, report.wrong_part <= limits.most_wrong_part
    return 0 if spent and wrong and not report.faults else 1


if __name__ == "__main__":
    sys.exit(main())

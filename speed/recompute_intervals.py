"""Print the comparisons of a stored benchmark with today's intervals and verdicts.

::

    python speed/recompute_intervals.py docs/findings/2026-11-24-initialisation/classification.json

The file is the ``summary.json`` of a benchmark, whose comparisons contain the difference of each seed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pipeline.benchmark.analysis.statistics import as_family, p_value


def main() -> None:
    """Print a line for each comparison with the baseline."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("summaries", nargs="+", type=Path)
    for path in parser.parse_args().summaries:
        summary = json.loads(path.read_text(encoding="utf-8"))
        factor = 100 if summary["is_share"] else 1
        shown = [one for one in summary["comparisons"] if one["role"] == "baseline"]
        found = as_family([[factor * value for value in one["differences"]] for one in shown])
        for one, tested in zip(shown, found, strict=True):
            mean, (low, high) = tested.difference.mean, tested.difference.interval
            print(f"{summary['measure']}, {one['condition']}, {one['start']}: {mean:+.2f} ({low:+.2f} to {high:+.2f}) "
                  f"{tested.verdict}, {p_value(tested.p_holm)} after Holm")


if __name__ == "__main__":
    main()

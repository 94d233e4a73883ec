"""What the comparisons found: kept as results.json, shown as RESULTS.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measuring import Figure, holds, shown, value_of

OF_ITS_NAME = ("n_words",)  # what else tells figures of one name apart
HEAD = """# Results

Written by `make bench` from `results.json` beside this page; a part of it can be measured anew alone
(`python speed/run.py --help`), so that each section has its own date, commit and machine. Behind its name stands
the kind of processor, the best of its instructions for matrix products; those without bfloat16 compute in float32. Ours
and the peer run in turn, each measurement in a process of its own. A ratio is one of medians, its least and most are
those of single runs; of steps that were taken in turn it is the median of the runs' own.
"""

Results = dict[str, dict[str, Any]]  # by section and kind: what, date, commit, machine, command, figures, printed


def load(folder: Path) -> Results:
    """What was found before; nothing, if there is none."""
    path = folder / "results.json"
    if not path.exists():
        return {}
    results: Results = json.loads(path.read_text(encoding="utf-8"))
    return results


def save(results: Results, order: Sequence[str], folder: Path) -> None:
    """Write both files, the sections in an order."""
    keys = sorted(results, key=lambda key: (order.index(key.split(",")[0]), key))
    ordered = {key: results[key] for key in keys}
    text = json.dumps(ordered, indent=1, ensure_ascii=False)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(text + "\n", encoding="utf-8")
    (folder / "RESULTS.md").write_text(page(ordered), encoding="utf-8")


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(name, found) for name, found in results.items())])


def section(name: str, found: Mapping[str, Any]) -> str:
    """A heading, what is compared, when and where it was measured, and the figures."""
    printed = f"```\n{found['printed'].strip()}\n```\n" if found.get("printed") else ""
    parts = [f"## {name}\n", f"{found['what']}\n",
             f"{found['date']}, commit {found['commit']}, `{found['command']}`; {found['machine']}.\n",
             tables(found["figures"]), printed]
    return "\n".join(part for part in parts if part)


def tables(rows: Sequence[Figure]) -> str:
    """Those of figures and of what grows, or the one that there is."""
    plain = figures([row for row in rows if "exponent" not in row])
    return "\n".join(filter(None, (plain, growth([row for row in rows if "exponent" in row]))))


def figures(rows: Sequence[Figure]) -> str:
    """A table of medians and ratios, what they are held to, and whether they hold."""
    header = ["", "median or ratio", "least", "most", "held to", "holds"]
    return _table(header, [
        [_name(row), shown(value_of(row)), _if_there(row, "least"), _if_there(row, "most"), _held_to(row),
         {True: "yes", False: "**no**", None: ""}[holds(row)]] for row in rows])


def growth(rows: Sequence[Figure]) -> str:
    """A table of what grows: the cost at each size, and the exponent beside the expected one."""
    header = ["", "sizes", "of", "cost at each size", "exponent", "expected", "why"]
    return _table(header, [
        [row["figure"], f"{row['sizes'][0]:,} to {row['sizes'][-1]:,}", f"{row['measure']}, {row['unit']}",
         " · ".join(map(shown, row["values"])), f"{row['exponent']:.2f}", row["expected"], row["why"]] for row in rows])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _name(row: Figure) -> str:
    told = [f"{key} {row[key]:,}" for key in OF_ITS_NAME if key in row]
    kind = [kind for kind in ("ratio", "difference") if kind in row]
    return ", ".join([row["figure"], *told, *kind])


def _if_there(row: Figure, key: str) -> str:
    return shown(row[key]) if key in row else ""


def _held_to(row: Figure) -> str:
    return next((f"{words} {row[key]:g}" for key, words in (("at_least", "at least"), ("at_most", "at most"))
                 if key in row), "")

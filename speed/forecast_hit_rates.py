"""Print how often the forecasts of `vecformer rank` are correct, with one data set left out at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.benchmark.analysis.statistics import ALPHA, p_value
from pipeline.benchmark.forecast.evaluation import evaluate
from pipeline.benchmark.forecast.stored_runs import Forecastable, settings_of, stored_rows
from pipeline.cli.common import table

HEADER = ("", "first source best", "hit rate", "95% interval", "within 1 point", "mean loss in points")


def report(settings: Sequence[Forecastable]) -> str:
    """Format the hit rates of forecasts with and without labels, and of a fixed order of the sources."""
    found = {True: evaluate(settings), False: evaluate(settings, labels=False)}
    first = found[True]
    rows = [["forecast", *cells(first["forecast"])], ["forecast without labels", *cells(found[False]["forecast"])],
            ["always the same order", *cells(first["fixed"])],
            ["by chance", "", f"{first['chance']:.1%}", "", "", ""]]
    return "\n".join([
        f"{first['n_settings']} settings of {first['n_data']} data sets, {first['n_sources']} sources, "
        f"{first['forecast']['n']} draws; one data set left out at a time", "",
        table(HEADER, rows), "",
        f"Mean probability that the forecast gives to its first source: {first['probability']:.1%} with labels, "
        f"{found[False]['probability']:.1%} without.",
        conclusion("The forecast", first), conclusion("The forecast without labels", found[False]),
    ])


def cells(rate: Mapping[str, Any]) -> list[str]:
    """Format a hit rate."""
    low, high = rate["interval"]
    return [f"{rate['hits']} of {rate['n']}", f"{rate['rate']:.1%}", f"{low:.1%} to {high:.1%}",
            f"{rate['close']} of {rate['n']}", f"{rate['loss'] * 100:.2f}"]


def conclusion(name: str, found: Mapping[str, Any]) -> str:
    """State whether the hit rate is above that of a fixed order."""
    one, difference = found["difference"], found["forecast"]["rate"] - found["fixed"]["rate"]
    compared = "above" if difference > 0 else "below" if difference < 0 else "equal to"
    shown = "shown" if one["p"] < ALPHA else "not shown"
    return (f"{name}: hit rate {compared} that of always the same order ({difference * 100:+.1f} points), which is "
            f"{shown} to be a difference (p {p_value(one['p'])}, sign-flip test over {found['n_data']} data sets).")


if __name__ == "__main__":
    print(report(settings_of(stored_rows())))

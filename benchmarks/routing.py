"""Votes saved by asking where a vote is worth most: `consensus route` beside random order and round-robin.

    python benchmarks/routing.py --data DIR

The recorded votes of a set are revealed one by one, and after every 2 % of them everything is scored anew, from
the start, by policy `default`. `random` takes them in a random order; `round-robin` gives every item the same
number of votes. `route` gives every item one, then takes those where a vote of whoever happens to come is expected
to tell most; `route, from whom` also takes the annotator whose vote tells most, nobody more than twice an even
share. Decided items come last, as the product serves them no more. (The product shows a task without a vote to two
annotators at once, since one vote decides nothing.)

The bar: with 60 % of the votes the accuracy of all of them less half a point, on each set and on the mean over the
sets; curves are means over random orders. Prints tables and, as its last line, one JSON object. The exit status is
1 where `route, from whom` misses the bar on the mean.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from data_sets import SETS, CrowdSet, read_sets
from revealing import STEP, STRATEGIES, Trace, simulate
from side_by_side import figure, finish, table, yes_no

from consensus.core.arrays import Flags, Floats

ROOM, BAR = 0.005, 0.60
ROUNDING = 1e-9
SHOWN = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
OTHER_IMAGES = 600
"""Images without a known truth that are kept of the largest set, beside those with one."""
OURS = "route, from whom"
Curves = dict[str, Floats]
"""By strategy, the mean accuracy at every step."""


def main() -> int:
    """Run, print, and return the exit status."""
    options = _parser().parse_args()
    sets = read_sets(options.data, options.sets)
    if not sets:
        sys.exit(f"{options.data} holds none of the sets {', '.join(options.sets)}; name their folder with --data")
    grid = np.arange(1, round(1 / STEP) + 1) * STEP
    curves: dict[str, Curves] = {}
    report: dict[str, object] = {}
    for whole in sets:
        crowd = _subsampled(whole) if whole.name == "real-votes" else whole
        traces = {name: [simulate(crowd, name, seed) for seed in range(options.seeds)] for name in STRATEGIES}
        curves[crowd.name] = {name: _curve(runs, grid) for name, runs in traces.items()}
        report[crowd.name] = _show(crowd, grid, curves[crowd.name], traces)
    means = {name: np.mean([curve[name] for curve in curves.values()], axis=0) for name in STRATEGIES}
    print(_table(f"mean of {len(sets)} sets", grid, means))
    mean = _figures(grid, means)
    return finish(
        {
            "benchmark": "routing",
            "seeds": options.seeds,
            "reached": mean[OURS]["at_bar"] >= -ROOM - ROUNDING,
            "mean": mean,
            "sets": report,
        }
    )


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder of the sets: see benchmarks/README.md")
    options.add_argument(
        "--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET", help=", ".join(SETS)
    )
    options.add_argument("--seeds", type=int, default=3, help="random orders of each set and strategy")
    return options


def share_needed(grid: Floats, curve: Floats) -> float:
    """Return the smallest share of the votes from which on the accuracy is that of all of them, less half a point.

    Examples
    --------
    >>> share_needed(np.array([0.25, 0.5, 0.75, 1.0]), np.array([0.9, 0.8, 0.896, 0.9]))
    0.75
    """
    short = np.flatnonzero(curve < curve[-1] - ROOM - ROUNDING)
    return float(grid[short[-1] + 1]) if len(short) else float(grid[0])


def _figures(grid: Floats, curves: Curves) -> dict[str, dict[str, float]]:
    at_bar = int(np.abs(grid - BAR).argmin())
    return {
        name: {
            "share": share_needed(grid, curve),
            "at_bar": float(curve[at_bar] - curve[-1]),
            "all": float(curve[-1]),
        }
        for name, curve in curves.items()
    }


def _curve(runs: list[Trace], grid: Floats) -> Floats:
    return np.mean([np.interp(grid, run.share, run.accuracy) for run in runs], axis=0)


def _show(crowd: CrowdSet, grid: Floats, curves: Curves, traces: dict[str, list[Trace]]) -> dict[str, object]:
    """Print the tables of a set; return its figures."""
    title = f"{crowd.name}, {len(crowd.item)} votes on {crowd.n_items} items"
    print(_table(title, grid, curves))
    figures: dict[str, object] = {"votes": len(crowd.item), "items": crowd.n_items, **_figures(grid, curves)}
    stops = {
        name: np.mean([run.stopped for run in runs], axis=0) for name, runs in traces.items() if "route" in name
    }
    rows = [
        (name, [figure(share, 2), figure(right), figure(right - curves[name][-1])])
        for name, (share, right) in stops.items()
    ]
    print(table("where nothing undecided has a vote left", ["share of votes", "accuracy", "less all"], rows))
    stopped = {name: {"share": float(share), "accuracy": float(right)} for name, (share, right) in stops.items()}
    return {**figures, "stopped": stopped}


def _table(title: str, grid: Floats, curves: Curves) -> str:
    at = [int(np.abs(grid - share).argmin()) for share in SHOWN]
    columns = [*(f"{share:.0%}" for share in SHOWN), f"stays above all - {ROOM} from", f"{BAR:.0%} do"]
    figures = _figures(grid, curves)
    rows = []
    for name, curve in curves.items():
        method_figures = figures[name]
        reached = method_figures["at_bar"] >= -ROOM - ROUNDING
        rows.append((name, [*(figure(curve[i]) for i in at), f"{method_figures['share']:.0%}", yes_no(reached)]))
    return table(title, columns, rows)


def _subsampled(crowd: CrowdSet) -> CrowdSet:
    """Keep the images with a known truth and some others: the whole set would take hours."""
    images, image = np.unique(crowd.item_names[:, 0].astype(str), return_inverse=True)
    keep: Flags = np.zeros(len(images), dtype=bool)
    keep[image[crowd.truth >= 0]] = True
    without_truth = np.flatnonzero(~keep)
    keep[np.random.default_rng(0).choice(without_truth, min(OTHER_IMAGES, len(without_truth)), replace=False)] = (
        True
    )
    return _items(crowd, keep[image])


def _items(crowd: CrowdSet, keep: Flags) -> CrowdSet:
    code = np.cumsum(keep) - 1
    votes = keep[crowd.item]
    return replace(
        crowd,
        item=code[crowd.item[votes]].astype(np.int32),
        annotator=crowd.annotator[votes],
        answer=crowd.answer[votes],
        truth=crowd.truth[keep],
        item_names=crowd.item_names[keep],
    )


if __name__ == "__main__":
    sys.exit(main())

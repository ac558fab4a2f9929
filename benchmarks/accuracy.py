"""Accuracy of policy `default` and of eight published methods on the same votes, in one run.

    python benchmarks/accuracy.py --data DIR

Accuracy is the share of the items (tasks, or questions) whose most believed class is the true one; of k classes
tied at the top each counts 1/k. Prints a table and, as its last line, one JSON object. The exit status is 1 where
`default` is more than half a point worse than the best of the eight on a set, or no better than one of them on the
mean over the sets that it ran on.
"""

import sys

import numpy as np
from metrics import accuracy
from peers import PEERS
from side_by_side import METHODS, OURS, Figures, by_method, figure, finish, parser, run, table, yes_no

ROOM = 0.005
"""How much worse than the best of the eight a set may be."""
ROUNDING = 1e-9


def bars_of_sets(figures: Figures) -> dict[str, dict[str, float]]:
    """Return of each set the bar, and whether ours reaches it."""
    bars = {}
    for name, row in figures.items():
        bar = max(value for method, value in row.items() if method != OURS) - ROOM
        bars[name] = {"bar": bar, "reached": row[OURS] >= bar - ROUNDING}
    return bars


def bars_of_means(figures: Figures) -> dict[str, dict[str, float]]:
    """Return of each method its mean, ours over the same sets, and whether ours is higher."""
    means = {}
    for method in PEERS:
        rows = [row for row in figures.values() if method in row]
        if rows:
            theirs, ours = (float(np.mean([row[who] for row in rows])) for who in (method, OURS))
            means[method] = {"sets": len(rows), "mean": theirs, OURS: ours, "reached": ours > theirs + ROUNDING}
    return means


def show(figures: Figures, seconds: Figures) -> None:
    """Print the tables."""
    bars = bars_of_sets(figures)
    rows = [
        (name, [*by_method(row), figure(bars[name]["bar"]), yes_no(bars[name]["reached"])])
        for name, row in figures.items()
    ]
    print(table("accuracy", [*METHODS, f"best - {ROOM}", "reached"], rows))
    means = [
        (method, [str(row["sets"]), figure(row["mean"]), figure(row[OURS]), yes_no(row["reached"])])
        for method, row in bars_of_means(figures).items()
    ]
    print(table("mean", ["sets it ran on", "its mean", f"{OURS} on these", "higher"], means))
    print(
        table("seconds, where run now", METHODS, [(name, by_method(row, 2, "-")) for name, row in seconds.items()])
    )


def main() -> int:
    """Run, print, and return the exit status."""
    outcomes = run(parser(__doc__).parse_args())
    figures = {
        each.votes.name: {method: accuracy(each.belief(method), each.truth) for method in each.beliefs}
        for each in outcomes
    }
    seconds = {each.votes.name: each.seconds for each in outcomes}
    show(figures, seconds)
    bars, means = bars_of_sets(figures), bars_of_means(figures)
    reached = all(bar["reached"] for bar in (*bars.values(), *means.values()))
    return finish(
        {
            "benchmark": "accuracy",
            "reached": reached,
            "accuracy": figures,
            "bars": bars,
            "means": means,
            "seconds": seconds,
        }
    )


if __name__ == "__main__":
    sys.exit(main())

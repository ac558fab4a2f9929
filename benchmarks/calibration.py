"""Calibration of policy `default` and of eight published methods on the same votes, in one run.

    python benchmarks/calibration.py --data DIR

Prints Brier score, log loss and expected calibration error; of what has at least a confidence, the share that is
right; the curves from 1 to 78 votes a question, on random draws of the votes on ReaL's gold questions; and, as its
last line, one JSON object. Shares of votes (MV, Wawa) are smoothed with the pseudo-votes that suit them best,
chosen with the truth. The log loss charges no belief below 1e-6. The exit status is 1 where a bar is missed. With
--plots the diagrams for docs/ are drawn as well.
"""

import sys
from pathlib import Path

import numpy as np
from curves import CURVE_SET, Curves, bars_of_curves, draw_curves, show_curves
from metrics import brier, calibration_error, log_loss
from peers import PEERS
from promises import promises, show_promises
from side_by_side import (
    METHODS,
    OURS,
    Figures,
    Metric,
    Outcome,
    by_method,
    fairest,
    figure,
    finish,
    parser,
    run,
    table,
    yes_no,
)

ROOM = 1.05
"""How much larger than the best of the eight a score may be on a set."""


def scores(outcomes: list[Outcome], metric: Metric) -> tuple[Figures, dict[str, float]]:
    """Return the score by set and method, and the pseudo-votes of those that are smoothed."""
    pseudo_votes = {method: fairest(outcomes, method, metric) for method in PEERS if PEERS[method].shares}
    figures = {
        each.votes.name: {
            method: metric(each.belief(method, pseudo_votes.get(method, 0.0)), each.truth)
            for method in each.beliefs
        }
        for each in outcomes
    }
    return figures, pseudo_votes


def score_bars(figures: Figures) -> dict[str, dict[str, float]]:
    """Return the ratio of ours to the best of the eight by set, and the means, which must be lower than each."""
    bars = {}
    for name, row in figures.items():
        ratio = row[OURS] / min(value for method, value in row.items() if method != OURS)
        bars[name] = {"ratio": ratio, "reached": ratio <= ROOM}
    for method in PEERS:
        rows = [row for row in figures.values() if method in row]
        if rows:
            theirs, ours = (float(np.mean([row[who] for row in rows])) for who in (method, OURS))
            bars[f"mean, {method}"] = {"mean": theirs, OURS: ours, "reached": ours < theirs}
    return bars


def show_scores(name: str, figures: Figures, pseudo_votes: dict[str, float]) -> dict[str, dict[str, float]]:
    """Print the tables of a score, and return its bars."""
    bars = score_bars(figures)
    rows = [
        (each, [*by_method(row), figure(bars[each]["ratio"], 3), yes_no(bars[each]["reached"])])
        for each, row in figures.items()
    ]
    print(table(name, [*METHODS, "ratio to best", f"at most {ROOM}"], rows))
    means = [
        (method, [figure(bar["mean"]), figure(bar[OURS]), yes_no(bar["reached"])])
        for method in PEERS
        if (bar := bars.get(f"mean, {method}"))
    ]
    print(table(f"mean {name}", ["of the sets it ran on", f"{OURS} on these", "lower"], means))
    print(f"Pseudo-votes: {', '.join(f'{method} {votes:g}' for method, votes in pseudo_votes.items())}.\n")
    return bars


def calibration_errors(outcomes: list[Outcome], pseudo_votes: dict[str, float]) -> Figures:
    """Return by set and method the expected calibration error of the most believed class."""
    errors: Figures = {}
    for each in outcomes:
        errors[each.votes.name] = {}
        for method in each.beliefs:
            belief = each.belief(method, pseudo_votes.get(method, 0.0))
            top = belief.argmax(axis=1)
            errors[each.votes.name][method] = calibration_error(belief.max(axis=1), top == each.truth)
    print(table("expected calibration error", METHODS, [(name, by_method(row)) for name, row in errors.items()]))
    return errors


def main() -> int:
    """Run, print, draw where wanted, and return the exit status."""
    options = parser(__doc__)
    options.add_argument("--plots", type=Path, metavar="DIR", help="draw the diagrams as SVG files there")
    chosen = options.parse_args()
    outcomes = run(chosen)
    briers, pseudo_votes = scores(outcomes, brier)
    losses, pseudo_votes_of_loss = scores(outcomes, log_loss)
    bars = {
        "brier": show_scores("Brier score", briers, pseudo_votes),
        "log_loss": show_scores("log loss", losses, pseudo_votes_of_loss),
    }
    errors = calibration_errors(outcomes, pseudo_votes)
    shares = promises(outcomes)
    bars["promises"] = show_promises(shares)
    curves = {
        name: draw_curves(each.votes, pseudo_votes["MV"])
        for each in outcomes
        if (name := each.votes.name) == CURVE_SET
    }
    for name, curve in curves.items():
        bars[f"curves of {name}"] = bars_of_curves(curve)
        show_curves(name, curve, bars[f"curves of {name}"])
    if chosen.plots:
        draw(chosen.plots, outcomes, pseudo_votes, curves)
    missed = [f"{table}: {name}" for table, row in bars.items() for name, bar in row.items() if not bar["reached"]]
    print(f"Bars missed: {'; '.join(missed) or 'none'}.")
    return finish(
        {
            "benchmark": "calibration",
            "reached": not missed,
            "missed": missed,
            "brier": briers,
            "log_loss": losses,
            "pseudo_votes": {"brier": pseudo_votes, "log_loss": pseudo_votes_of_loss},
            "calibration_error": errors,
            "promises": shares,
            "curves": {name: curve.means() for name, curve in curves.items()},
            "bars": bars,
        }
    )


def draw(folder: Path, outcomes: list[Outcome], pseudo_votes: dict[str, float], curves: dict[str, Curves]) -> None:
    """Draw the diagrams; matplotlib is needed for this alone."""
    from diagrams import plot_curves, plot_reliability  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    plot_reliability(folder / "reliability.svg", outcomes, pseudo_votes)
    for curve in curves.values():
        plot_curves(folder / "votes.svg", curve)
    print(f"Diagrams are in {folder}.\n")


if __name__ == "__main__":
    sys.exit(main())

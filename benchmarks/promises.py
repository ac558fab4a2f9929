"""Whether confidence is a promise: the share right of the classifications that have at least some confidence."""

import numpy as np
from metrics import share_right
from side_by_side import Outcome, figure, rows_of, table, yes_no

from consensus.core.arrays import Flags, Floats

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
KEPT_ON_EACH = ("labelme", "real-golden", "real-votes")
"""Sets on which every level must be kept by itself."""
TOP_LEVEL_MEAN = 0.90
"""Share right that the highest level must reach on the mean over the sets."""


def stated(outcome: Outcome, column: Floats) -> tuple[Floats, Flags]:
    """Return a column of the engine's for every classification whose truth is known, and whether that is right."""
    rows = rows_of(outcome.votes, outcome.scored)[outcome.known]
    if outcome.votes.asks_yes_no:
        right = outcome.truth[:, None] == 1
    else:
        right = outcome.truth[:, None] == np.arange(outcome.votes.n_classes)
    return column[rows].ravel(), right.ravel()


def promises(outcomes: list[Outcome]) -> dict[str, dict[str, dict[str, float]]]:
    """Return by set and level: share right, share of the classifications there, share of the right ones there."""
    shares = {}
    for each in outcomes:
        confidence, right = stated(each, each.scored.confidence)
        shares[each.votes.name] = {
            str(level): dict(
                zip(("right", "share"), share_right(confidence, right, level), strict=True),
                found=float((confidence[right] >= level).mean()),
            )
            for level in LEVELS
        }
    return shares


def show_promises(shares: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Print the table, and return the bars. Where nothing has the confidence, no promise is broken."""
    for column, title in {
        "right": "share right of those with confidence >=",
        "share": "share of the classifications with confidence >=",
        "found": "share of the right ones with confidence >=",
    }.items():
        rows = [(name, [figure(row[str(level)][column], 3) for level in LEVELS]) for name, row in shares.items()]
        print(table(title, [str(level) for level in LEVELS], rows))
    bars = {
        f"{name}, {level}": {"right": cell["right"], "reached": not cell["right"] < float(level)}
        for name, row in shares.items()
        if name in KEPT_ON_EACH
        for level, cell in row.items()
    }
    top = [right for row in shares.values() if not np.isnan(right := row[str(LEVELS[-1])]["right"])]
    mean = float(np.mean(top)) if top else float("nan")
    bars[f"mean, {LEVELS[-1]}"] = {"right": mean, "sets": len(top), "reached": not mean < TOP_LEVEL_MEAN}
    rows = [(name, [figure(bar["right"], 3), _kept(bar)]) for name, bar in bars.items()]
    print(table("promise", ["share right", "kept"], rows))
    return bars


def _kept(bar: dict[str, float]) -> str:
    return "none there" if np.isnan(bar["right"]) else yes_no(bar["reached"])

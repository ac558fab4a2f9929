"""The diagrams of the docs, as small SVG files that any palette of eyes can read (Okabe and Ito's colours)."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from curves import LOSSES, SIZES, Curves
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from metrics import bins_of
from side_by_side import OURS, Outcome

from consensus.core.arrays import Flags, Floats
from consensus.core.wilson import wilson_interval

STYLES = {
    OURS: {"color": "#0072B2", "marker": "o", "linestyle": "-", "label": "default"},
    "DS": {"color": "#D55E00", "marker": "s", "linestyle": "--", "label": "Dawid-Skene"},
    "MV": {"color": "#009E73", "marker": "^", "linestyle": ":", "label": "majority (smoothed)"},
}
BINS = 10
FEWEST = 10
"""A point of fewer classifications says nothing and is not drawn."""


def plot_reliability(file: Path, outcomes: list[Outcome], pseudo_votes: dict[str, float]) -> None:
    """Draw, a panel a set, the share right against the posterior stated, over all classifications in ten bins.

    The thin lines are 95 % intervals of the share right (Wilson).
    """
    columns = min(3, len(outcomes))
    figure, panels = _grid(-(-len(outcomes) // columns), columns, 2.6)
    for panel, outcome in zip(panels, outcomes, strict=False):
        panel.plot([0, 1], [0, 1], color="#999999", linewidth=1)
        for method, style in STYLES.items():
            belief = outcome.belief(method, pseudo_votes.get(method, 0.0))
            mean, share, (low, high) = _reliability(*_classifications(outcome, belief))
            panel.vlines(mean, low, high, color=style["color"], linewidth=0.8, alpha=0.5)
            _line(panel, mean, share, style)
        panel.set(title=outcome.votes.name, xlim=(0, 1), ylim=(0, 1), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        panel.set_aspect("equal")
    for panel in panels[len(outcomes) :]:
        panel.set_visible(False)
    _finish(figure, file, "posterior of a classification", "share right")


def plot_curves(file: Path, curves: Curves) -> None:
    """Draw, a panel a loss, the mean over the draws against the votes an item."""
    titles = {"error": "error (1 - accuracy)", "brier": "Brier score", "log_loss": "log loss"}
    figure, panels = _grid(1, len(LOSSES), 2.8)
    for panel, kind in zip(panels, LOSSES, strict=True):
        for method, style in STYLES.items():
            _line(panel, np.array(SIZES), curves.losses[method][kind].mean(axis=(1, 2)), style)
        panel.set(title=titles[kind], xscale="log", xticks=SIZES, xticklabels=map(str, SIZES), ylim=(0, None))
        panel.minorticks_off()
    _finish(figure, file, "votes an item", "")


def _classifications(outcome: Outcome, belief: Floats) -> tuple[Floats, Flags]:
    """Return what is stated of each classification, and whether it is right; of a question the yes alone."""
    right = outcome.truth[:, None] == np.arange(outcome.votes.n_classes)
    first = 1 if outcome.votes.asks_yes_no else 0
    return belief[:, first:].ravel(), right[:, first:].ravel()


def _reliability(stated: Floats, right: Flags) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
    """Return of each bin that is drawn what is stated, the share right, and the latter's 95 % interval."""
    bin_of = bins_of(stated, BINS)
    count = np.bincount(bin_of, minlength=BINS).astype(np.float64)
    drawn = count >= FEWEST
    total, n_right = (np.bincount(bin_of, column, minlength=BINS)[drawn] for column in (stated, right))
    return total / count[drawn], n_right / count[drawn], wilson_interval(n_right, count[drawn])


def _grid(rows: int, columns: int, side: float) -> tuple[Figure, list[Axes]]:
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "consensus", "font.size": 9})
    figure = Figure(figsize=(columns * side, rows * side + 0.5), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(rows, columns)).ravel())


def _line(panel: Axes, x: Floats, y: Floats, style: dict[str, str]) -> None:
    panel.plot(x, y, linewidth=1.4, markersize=4, clip_on=False, **style)
    panel.spines[["top", "right"]].set_visible(False)


def _finish(figure: Figure, file: Path, below: str, left: str) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    figure.supxlabel(below)
    figure.supylabel(left)
    # No date and a fixed salt: the same figures give the same file.
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")

"""Wrong given labels that nobody has voted on: what the ML backend puts first, beside cleanlab, in one run.

LabelMe's photographs (--data DIR, see README.md) with the labels of given.csv, of which 150 in 1,000 are wrong
(that is simulated), as embeddings of EfficientNet-Lite0; and scikit-learn's digits with simulated noise: 15 in 100
labels are wrong; of three classes 40 in 100 are taken for another; most classes are rare. There is no vote. A
version is trained on the given labels alone; its held-out probabilities are those that cleanlab is given, and a
last row gives it those of a logistic regression that has learned the given labels as they are.
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from suggestions import embedded, rows_of

from ml_backend.core.controls import Control
from ml_backend.core.model import Evidence, fit_model

Floats = NDArray[np.floating]
Codes = NDArray[np.int64]

FIRST, BAR = 100, 60
ANY, PAIRS, RARE = 0.15, 0.4, 0.1
"""Shares: of all labels and of three classes that are wrong, and of the images of eight classes that are kept."""
OURS, SELF, ISSUES, USERS = (
    "ours",
    "cleanlab, self-confidence",
    "cleanlab, find_label_issues",
    "cleanlab on a plain logistic regression",
)


@dataclass(frozen=True)
class GivenSet:
    """Images with given and true labels, as codes."""

    name: str
    embeddings: NDArray[np.float32]
    given: Codes
    truth: Codes


def main() -> int:
    """Run the benchmark; the exit status is 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with labelme/; without it digits alone")
    parser.add_argument("--cache", type=Path, help="file (.npz) that keeps LabelMe's embeddings for the next run")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the simulated noise")
    options = parser.parse_args()
    results: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for each in sets(options.data, options.cache, options.seeds):
        for method, scores in ranked(each).items():
            results[each.name][method].append(measured(scores, each.given != each.truth))
    figures = {
        name: {
            method: [round(float(figure), 4) for figure in np.mean(runs, axis=0)] for method, runs in rows.items()
        }
        for name, rows in results.items()
    }
    return report(figures)


def sets(data: Path | None, cache: Path | None, seeds: int) -> Iterator[GivenSet]:
    """Yield LabelMe, and digits once for each draw and kind of noise."""
    if data is not None:
        folder = data / "labelme"
        truth, given = (_labels(folder / name) for name in ("truth.csv", "given.csv"))
        tasks, labels = sorted(truth), sorted(set(truth.values()))
        vectors = embedded([folder / "images" / f"{task}.jpg" for task in tasks], cache)["EfficientNet-Lite0"]
        codes = [np.array([labels.index(names[task]) for task in tasks]) for names in (given, truth)]
        yield GivenSet("LabelMe", vectors, *codes)
    digits = load_digits()
    pixels, right = digits.data.astype(np.float32), digits.target.astype(np.int64)
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        moved = (right + rng.integers(1, 10, len(right))) % 10
        wrong = rng.random(len(right)) < ANY
        yield GivenSet("digits, any label", pixels, np.where(wrong, moved, right), right)
        pairs = (rng.random(len(right)) < PAIRS) & np.isin(right, [1, 3, 5])
        yield GivenSet("digits, three classes", pixels, np.where(pairs, (right + 3) % 10, right), right)
        few = np.flatnonzero(np.isin(right, [0, 1]) | (rng.random(len(right)) < RARE))
        yield GivenSet("digits, most rare", pixels[few], np.where(wrong, moved, right)[few], right[few])


def _labels(file: Path) -> dict[str, str]:
    rows = rows_of(file, "task", "label")
    return {row[0]: row[1] for row in rows}


def ranked(each: GivenSet) -> dict[str, Floats]:
    """Score how right each given label is, by method."""
    n_labels = int(max(each.given.max(), each.truth.max())) + 1
    labels = tuple(map(str, range(n_labels)))
    control = Control("label", "image", labels, multiple=False, image_key="image", given_key="given")
    rows, given = np.arange(len(each.given)), np.eye(n_labels, dtype=np.float32)[each.given]
    nobody = np.zeros(len(rows), dtype=np.float32)
    evidence = Evidence(control, rows, np.zeros_like(given), weights=nobody, tasks=rows, given=given)
    tasks = [(row, {"given": labels[code]}) for row, code in enumerate(each.given)]
    answer = fit_model(each.embeddings, [evidence]).answers(each.embeddings, {control.name: control}, tasks)[
        "label"
    ]
    held_out = answer.scores.astype(np.float64)
    held_out /= held_out.sum(axis=1, keepdims=True)
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    of_users = cross_val_predict(plain, each.embeddings, each.given, cv=5, method="predict_proba")
    return {
        OURS: np.array([about.probability for about in answer.given if about]),
        SELF: get_label_quality_scores(each.given, held_out, method="self_confidence"),
        ISSUES: issues(each.given, held_out),
        USERS: get_label_quality_scores(each.given, of_users, method="self_confidence"),
    }


def issues(given: Codes, probabilities: Floats) -> Floats:
    """Put what cleanlab calls wrong first, in its order, and the others behind by self-confidence."""
    scores = get_label_quality_scores(given, probabilities, method="self_confidence") + 1
    wrong = find_label_issues(given, probabilities, return_indices_ranked_by="self_confidence")
    scores[wrong] = np.linspace(0, 1, len(wrong), endpoint=False)
    return np.asarray(scores)


def measured(scores: Floats, wrong: NDArray[np.bool_]) -> tuple[float, float]:
    """Return how many of the first are wrong, and the average precision."""
    first = np.argsort(scores, kind="stable")[:FIRST]
    return float(wrong[first].sum()), float(average_precision_score(wrong, -scores))


def report(figures: dict[str, dict[str, list[float]]]) -> int:
    """Print the table, the bars and the figures."""
    console, bars = Console(), {}
    table = Table("set", "method", f"wrong of the first {FIRST}", "average precision")
    for name, rows in figures.items():
        for method, (first, precision) in rows.items():
            table.add_row(name, method, f"{first:.0f}", f"{precision:.3f}")
        if name == "LabelMe":
            bars[f"{name}: at least {BAR} of the first {FIRST} are wrong"] = rows[OURS][0] >= BAR
            peers = max(rows[method][1] for method in (SELF, ISSUES, USERS))
            bars[f"{name}: average precision at least cleanlab's"] = rows[OURS][1] >= peers
    console.print(table)
    for bar, met in bars.items():
        console.print(f"{'met   ' if met else 'MISSED'} {bar}")
    print(json.dumps({"benchmark": "given_labels", "figures": figures, "bars": bars}))
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

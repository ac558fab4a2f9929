"""The suggestions on tasks that nobody annotated, beside plain scikit-learn on the same embeddings, in one run.

LabelMe's photographs (--data DIR, see README.md) as embeddings of a ResNet-18 with random weights whose batch
normalisation has seen them, which needs no download; and scikit-learn's digits as raw pixels. Of each set N tasks
are annotated, with the votes as they were cast (digits: the truth); the others are judged: accuracy against the
truth, and calibration against the annotations that were held back, which is what a score promises.
"""

import argparse
import csv
import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier

from ml_backend.core.controls import Control
from ml_backend.core.held_out import calibration_error
from ml_backend.core.model import Evidence, ProjectModel, fit_model
from ml_backend.core.pooling import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

Floats = NDArray[np.float32]

ECE_BAR = 0.05
NEAR = 0.01
"""How much less accurate than the better of its two halves the competition may be."""
FIT_BAR_S = 10
ENOUGH = 200
"""Annotated tasks from which the bar of the calibration holds."""


@dataclass(frozen=True)
class Set:
    """Images with a truth, and the shares of their annotators who chose each label."""

    name: str
    embeddings: Floats
    shares: Floats
    truth: NDArray[np.int64]


def main() -> int:
    """Run the benchmark; the exit status is 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with labelme/; without it digits alone")
    parser.add_argument("--cache", type=Path, help="file (.npz) that keeps LabelMe's embeddings for the next run")
    parser.add_argument("--annotated", type=int, nargs="+", default=[50, 100, 200, 500])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--fit", type=int, default=10_000, help="annotations of the timed training; 0 leaves it out"
    )
    options = parser.parse_args()
    sets = [digits()]
    if options.data is not None:
        sets.insert(0, labelme(options.data / "labelme", options.cache))
    figures: dict[str, dict[str, dict[str, list[float]]]] = {}
    for one in sets:
        for count in options.annotated:
            found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
            for seed in range(options.seeds):
                for method, result in judged(one, count, seed).items():
                    found[method].append(result)
            means = {method: np.mean(results, axis=0).round(4).tolist() for method, results in found.items()}
            figures.setdefault(one.name, {})[str(count)] = means
    seconds = timed(options.fit) if options.fit else None
    return report(figures, seconds, options)


def labelme(folder: Path, cache: Path | None) -> Set:
    """LabelMe's photographs and votes."""
    truth = {row["task"]: row["label"] for row in csv.DictReader((folder / "truth.csv").open(encoding="utf-8"))}
    tasks, labels = sorted(truth), sorted(set(truth.values()))
    shares = np.zeros((len(tasks), len(labels)), dtype=np.float32)
    row_of = {task: row for row, task in enumerate(tasks)}
    for vote in csv.DictReader((folder / "votes.csv").open(encoding="utf-8")):
        shares[row_of[vote["task"]], labels.index(vote["label"])] += 1
    shares /= shares.sum(axis=1, keepdims=True)
    found = embedded([folder / "images" / f"{task}.jpg" for task in tasks], cache)
    return Set("LabelMe", found, shares, np.array([labels.index(truth[task]) for task in tasks]))


def embedded(paths: list[Path], cache: Path | None) -> Floats:
    """Embed images with random weights, calibrated on 64 of them."""
    if cache is not None and cache.is_file():
        kept: Floats = np.load(cache)["embeddings"]
        return kept
    from ml_backend.core.embedder import ResNetEmbedder  # noqa: PLC0415 - imports torch

    base = ResNetEmbedder("resnet18")
    prepared = [base.prepare(Image.open(path).convert("RGB")) for path in paths]
    sample = np.random.default_rng(0).choice(len(prepared), 64, replace=False)
    found = base.calibrate([prepared[row] for row in sample]).embed(prepared)
    if cache is not None:
        np.savez(cache, embeddings=found)
    return found


def digits() -> Set:
    """Scikit-learn's digits: 64 grey values each."""
    loaded = load_digits()
    shares = np.eye(10, dtype=np.float32)[loaded.target]
    return Set("digits", loaded.data.astype(np.float32), shares, loaded.target.astype(np.int64))


def judged(one: Set, count: int, seed: int) -> dict[str, tuple[float, float, float]]:
    """Accuracy, macro F1 and calibration error by method, on the tasks that were not annotated."""
    rows = np.random.default_rng(seed).permutation(len(one.truth))
    known, others = rows[:count], rows[count:]
    labels = tuple(map(str, range(one.shares.shape[1])))
    control = Control("label", "image", labels, multiple=False, image_key="image")
    model = fit_model(one.embeddings, [Evidence(control, known, one.shares[known])], seed)
    votes = one.shares[known].argmax(axis=1)
    makers: dict[str, Callable[[], Floats]] = {
        "clusters alone": lambda: scores_of(pooled(model, 0.0), control, one.embeddings[others]),
        "linear alone": lambda: scores_of(pooled(model, 1.0), control, one.embeddings[others]),
        "ours": lambda: scores_of(model, control, one.embeddings[others]),
        "scikit-learn: logistic regression": lambda: peer(
            LogisticRegression(C=1, max_iter=2000), one, known, votes, others
        ),
        "scikit-learn: 10 nearest": lambda: peer(KNeighborsClassifier(10), one, known, votes, others),
    }
    return {method: result(make(), one.truth[others], one.shares[others]) for method, make in makers.items()}


def pooled(model: ProjectModel, share: float) -> ProjectModel:
    """Give the model with one of its two opinions alone; without a linear classifier both are the clusters'."""
    [scores] = model.controls
    return replace(model, controls=(replace(scores, pool=Pool(share, 1.0)),))


def scores_of(model: ProjectModel, control: Control, embeddings: Floats) -> Floats:
    """Give the probabilities, also of images about which nothing would be suggested."""
    scores, _ = model.scores(embeddings, {control.name: control})[control.name]
    return scores


def peer(
    classifier: LogisticRegression | KNeighborsClassifier,
    one: Set,
    known: NDArray[np.int64],
    votes: NDArray[np.int64],
    others: NDArray[np.int64],
) -> Floats:
    """Let a classifier learn the most frequent votes from standardised embeddings."""
    mean, spread = one.embeddings[known].mean(axis=0), one.embeddings[known].std(axis=0) + 1e-6
    classifier.fit((one.embeddings[known] - mean) / spread, votes)
    found = np.zeros((len(others), one.shares.shape[1]), dtype=np.float32)
    found[:, classifier.classes_] = classifier.predict_proba((one.embeddings[others] - mean) / spread)
    return found


def result(scores: Floats, truth: NDArray[np.int64], shares: Floats) -> tuple[float, float, float]:
    """Accuracy and macro F1 against the truth, calibration error against the annotations."""
    top = scores.argmax(axis=1)
    rows = np.arange(len(top))
    error = calibration_error(scores[rows, top], shares[rows, top], np.ones(len(top)))
    return float((top == truth).mean()), float(f1_score(truth, top, average="macro")), float(error)


def timed(count: int) -> float:
    """Seconds of learning from so many annotated images of simulated embeddings: 512 numbers, 10 labels."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, count)
    embeddings = (rng.normal(size=(count, 512)) + rng.normal(size=(10, 512))[truth] * 0.3).astype(np.float32)
    control = Control("label", "image", tuple(map(str, range(10))), multiple=False, image_key="image")
    began = time.perf_counter()
    fit_model(embeddings, [Evidence(control, np.arange(count), np.eye(10, dtype=np.float32)[truth])])
    return time.perf_counter() - began


def report(
    figures: dict[str, dict[str, dict[str, list[float]]]], seconds: float | None, options: argparse.Namespace
) -> int:
    """Print the tables, the bars and the figures."""
    console, bars = Console(), {}
    for name, by_count in figures.items():
        table = Table("annotated", "method", "accuracy", "macro F1", "calibration error", title=name)
        for count, by_method in by_count.items():
            for method, (accuracy, f1, error) in by_method.items():
                table.add_row(count, method, f"{accuracy:.3f}", f"{f1:.3f}", f"{error:.3f}")
            best = max(by_method["clusters alone"][0], by_method["linear alone"][0])
            bars[f"{name}, {count}: as accurate as its better half"] = by_method["ours"][0] >= best - NEAR
            if int(count) >= ENOUGH:
                bars[f"{name}, {count}: calibration error at most {ECE_BAR}"] = by_method["ours"][2] <= ECE_BAR
        console.print(table)
    if seconds is not None:
        console.print(f"learning from {options.fit} annotations: {seconds:.1f} s")
        bars[f"learning in at most {FIT_BAR_S} s"] = seconds <= FIT_BAR_S
    for bar, met in bars.items():
        console.print(f"{'met   ' if met else 'MISSED'} {bar}")
    print(json.dumps({"figures": figures, "fit_s": seconds, "fit_annotations": options.fit, "bars": bars}))
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

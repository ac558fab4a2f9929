"""The suggestions on tasks that nobody annotated, beside plain scikit-learn on the same embeddings, in one run.

LabelMe's photographs (--data DIR, see README.md) as embeddings of EfficientNet-Lite0, of a ResNet-18 with random
weights whose batch normalisation has seen them, and as colours and gradients (model_voter.py); and
scikit-learn's digits as raw pixels. Of each set N tasks are annotated, with the votes as they were cast (digits:
the truth); the others are judged: accuracy against the truth, and calibration against the annotations that were
held back, which is what a score promises. Beside the calibration error stands about what perfectly honest scores
would show by chance. The clusters and the linear classifier alone are each trained and calibrated as ours is. What
would not be suggested, because the clusters hold too few annotations, is judged all the same.
"""

import argparse
import csv
import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from model_voter import features
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier

from ml_backend.core.controls import Control
from ml_backend.core.held_out import calibration_chance, calibration_error
from ml_backend.core.identity import Identity
from ml_backend.core.model import Evidence, fit_model
from ml_backend.core.model_selection import SHARES
from ml_backend.core.preparing import EFFICIENTNET_LITE0
from ml_backend.embedding.checkpoints import IMAGENET, state_file
from ml_backend.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Floats = NDArray[np.float32]

ECE_BAR = 0.05
NEAR = 0.01
"""How much less accurate than the better of its two halves the competition may be."""
FIT_BAR_S = 10
OF_EACH = 5
"""Images of the timed training for each annotated one."""
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
    parser.add_argument("--annotated", type=int, nargs="*", default=[50, 100, 200, 500])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--fit", type=int, default=10_000, help="annotations of the timed training; 0 leaves it out"
    )
    options = parser.parse_args()
    sets = [digits()]
    if options.data is not None:
        sets = [*labelme(options.data / "labelme", options.cache), *sets]
    figures: dict[str, dict[str, dict[str, list[float]]]] = {}
    for image_set in sets:
        for count in options.annotated:
            by_method: dict[str, list[tuple[float, ...]]] = defaultdict(list)
            for seed in range(options.seeds):
                for method, result in judged(image_set, count, seed).items():
                    by_method[method].append(result)
            means = {method: np.mean(results, axis=0).round(4).tolist() for method, results in by_method.items()}
            figures.setdefault(image_set.name, {})[str(count)] = means
    seconds = timed(options.fit) if options.fit else None
    return report(figures, seconds, options)


def labelme(folder: Path, cache: Path | None) -> list[Set]:
    """LabelMe's photographs and votes, in three kinds of embeddings."""
    truth = dict(rows_of(folder / "truth.csv", "task", "label"))
    tasks, labels = sorted(truth), sorted(set(truth.values()))
    shares = np.zeros((len(tasks), len(labels)), dtype=np.float32)
    row_of = {task: row for row, task in enumerate(tasks)}
    for task, label in rows_of(folder / "votes.csv", "task", "label"):
        shares[row_of[task], labels.index(label)] += 1
    shares /= shares.sum(axis=1, keepdims=True)
    right = np.array([labels.index(truth[task]) for task in tasks])
    paths = [folder / "images" / f"{task}.jpg" for task in tasks]
    by_hand = np.array([features(path) for path in paths], dtype=np.float32)
    embeddings = embedded(paths, cache) | {"colours and gradients": by_hand}
    return [Set(f"LabelMe, {name}", vectors, shares, right) for name, vectors in embeddings.items()]


def rows_of(file: Path, *columns: str) -> list[tuple[str, ...]]:
    """Some columns of a CSV file."""
    with file.open(encoding="utf-8") as lines:
        return [tuple(row[column] for column in columns) for row in csv.DictReader(lines)]


def embedded(paths: list[Path], cache: Path | None) -> dict[str, Floats]:
    """Embed images with weights that have learned ImageNet, and with random ones, calibrated on 64 of them."""
    if cache is not None and cache.is_file():
        with np.load(cache) as stored:
            return dict(stored)
    from ml_backend.core.embedder import TorchEmbedder  # noqa: PLC0415 - imports torch
    from ml_backend.embedding.networks import torch_embedder  # noqa: PLC0415

    learned = Identity(EFFICIENTNET_LITE0, IMAGENET)
    images = [Image.open(path).convert("RGB") for path in paths]
    sample = np.random.default_rng(0).choice(len(images), 64, replace=False)
    blind = TorchEmbedder("resnet18")
    embedders = {
        "EfficientNet-Lite0": torch_embedder(learned, state_file(learned, read_settings())),
        "random weights": blind.calibrate([blind.prepare(images[row]) for row in sample]),
    }
    embeddings = {
        name: embedder.embed([embedder.prepare(image) for image in images]) for name, embedder in embedders.items()
    }
    if cache is not None:
        np.savez(cache, **embeddings)
    return embeddings


def digits() -> Set:
    """Scikit-learn's digits: 64 grey values each."""
    loaded = load_digits()
    shares = np.eye(10, dtype=np.float32)[loaded.target]
    return Set("digits", loaded.data.astype(np.float32), shares, loaded.target.astype(np.int64))


def judged(image_set: Set, count: int, seed: int) -> dict[str, tuple[float, ...]]:
    """Accuracy, macro F1, calibration error and its chance, by method, on tasks that were not annotated."""
    rows = np.random.default_rng(seed).permutation(len(image_set.truth))
    annotated, judged_rows = rows[:count], rows[count:]
    votes = image_set.shares[annotated].argmax(axis=1)
    makers: dict[str, Callable[[], Floats]] = {
        "clusters alone": lambda: ours(image_set, annotated, judged_rows, seed, pools=[0]),
        "linear alone": lambda: ours(image_set, annotated, judged_rows, seed, pools=[1]),
        "ours": lambda: ours(image_set, annotated, judged_rows, seed),
        "scikit-learn: logistic regression": lambda: peer(
            LogisticRegression(C=1, max_iter=2000), image_set, annotated, votes, judged_rows
        ),
        "scikit-learn: 10 nearest": lambda: peer(
            KNeighborsClassifier(10), image_set, annotated, votes, judged_rows
        ),
    }
    return {
        method: result(make(), image_set.truth[judged_rows], image_set.shares[judged_rows])
        for method, make in makers.items()
    }


def ours(
    image_set: Set,
    annotated: NDArray[np.int64],
    judged_rows: NDArray[np.int64],
    seed: int,
    pools: "Sequence[float]" = SHARES,
) -> Floats:
    """Return our probabilities, also of images about which nothing would be suggested."""
    labels = tuple(map(str, range(image_set.shares.shape[1])))
    control = Control("label", "image", labels, multiple=False, image_key="image")
    model = fit_model(
        image_set.embeddings, [Evidence(control, annotated, image_set.shares[annotated])], seed, pools
    )
    scores, _ = model.scores(image_set.embeddings[judged_rows], {control.name: control})[control.name]
    return scores


def peer(
    classifier: LogisticRegression | KNeighborsClassifier,
    image_set: Set,
    annotated: NDArray[np.int64],
    votes: NDArray[np.int64],
    judged_rows: NDArray[np.int64],
) -> Floats:
    """Let a classifier learn the most frequent votes from standardised embeddings."""
    mean, spread = image_set.embeddings[annotated].mean(axis=0), image_set.embeddings[annotated].std(axis=0) + 1e-6
    classifier.fit((image_set.embeddings[annotated] - mean) / spread, votes)
    scores = np.zeros((len(judged_rows), image_set.shares.shape[1]), dtype=np.float32)
    scores[:, classifier.classes_] = classifier.predict_proba((image_set.embeddings[judged_rows] - mean) / spread)
    return scores


def result(scores: Floats, truth: NDArray[np.int64], shares: Floats) -> tuple[float, ...]:
    """Accuracy and macro F1 against the truth, calibration error against the annotations, and its chance."""
    top = scores.argmax(axis=1)
    rows, every = np.arange(len(top)), np.ones(len(top))
    honesty = [
        made(scores[rows, top], shares[rows, top], every) for made in (calibration_error, calibration_chance)
    ]
    return float((top == truth).mean()), float(f1_score(truth, top, average="macro")), *map(float, honesty)


def timed(count: int) -> dict[str, float]:
    """Seconds of learning from so many annotated images, a fifth of all, and of one plain logistic regression.

    The embeddings are simulated: 512 numbers, 10 labels. The peer neither clusters nor holds anything out.
    """
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 10, OF_EACH * count)
    groups = rng.normal(size=(10, 512)) * 0.3
    embeddings = (rng.normal(size=(len(truth), 512)) + groups[truth]).astype(np.float32)
    control = Control("label", "image", tuple(map(str, range(10))), multiple=False, image_key="image")
    annotated = np.sort(rng.choice(len(truth), count, replace=False))
    evidence = [Evidence(control, annotated, np.eye(10, dtype=np.float32)[truth[annotated]], tasks=annotated)]
    makers: dict[str, Callable[[], object]] = {
        "ours": lambda: fit_model(embeddings, evidence),
        "scikit-learn: logistic regression": lambda: LogisticRegression(C=1, max_iter=2000).fit(
            embeddings[annotated], truth[annotated]
        ),
    }
    seconds = {}
    for method, make in makers.items():
        began = time.perf_counter()
        make()
        seconds[method] = time.perf_counter() - began
    return seconds


def report(
    figures: dict[str, dict[str, dict[str, list[float]]]],
    seconds: dict[str, float] | None,
    options: argparse.Namespace,
) -> int:
    """Print the tables, the bars and the figures."""
    console, bars = Console(), {}
    for name, by_count in figures.items():
        table = Table("annotated", "method", "accuracy", "macro F1", "calibration error", "by chance", title=name)
        for count, by_method in by_count.items():
            for method, results in by_method.items():
                table.add_row(count, method, *(f"{figure:.3f}" for figure in results))
            best = max(by_method["clusters alone"][0], by_method["linear alone"][0])
            bars[f"{name}, {count}: as accurate as its better half"] = by_method["ours"][0] >= best - NEAR
            if int(count) >= ENOUGH:
                bars[f"{name}, {count}: calibration error at most {ECE_BAR}"] = by_method["ours"][2] <= ECE_BAR
        console.print(table)
    if seconds is not None:
        for method, taken in seconds.items():
            console.print(f"learning from {options.fit} annotations, {method}: {taken:.1f} s")
        bars[f"learning in at most {FIT_BAR_S} s"] = seconds["ours"] <= FIT_BAR_S
    for bar, met in bars.items():
        console.print(f"{'met   ' if met else 'MISSED'} {bar}")
    print(json.dumps({"figures": figures, "fit_s": seconds, "fit_annotations": options.fit, "bars": bars}))
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

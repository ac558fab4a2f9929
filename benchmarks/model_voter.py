"""What a model's suggestions add as one more voter, on the LabelMe set and its photographs.

    python benchmarks/model_voter.py --data DIR

The model is a logistic regression on small colour thumbnails and histograms of gradients, because no pretrained
weights come with this repository. It is trained five-fold on what the votes alone make probable, so that it
suggests for photographs that it was not trained on, and it never sees the truth. Figures are with up to 1, 2 and
3 (all) votes a photograph, drawn at random. Prints a table and, as its last line, one JSON object; the exit status
is 1 where with all votes the model makes the accuracy worse.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from data_sets import CrowdSet, read_single_choice
from metrics import accuracy, brier, log_loss
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from consensus.core.arrays import Floats
from consensus.core.decide.scoring import Scored, score
from consensus.core.model.model_voter import Suggestions
from consensus.core.votes.classifications import Gold, Listed
from consensus.core.votes.votes import Votes

SIDE, FOLDS, DIRECTIONS = 128, 5, 8
METRICS: dict[str, Callable[[Floats, np.ndarray], float]] = {
    "accuracy": accuracy,
    "Brier": brier,
    "log loss": log_loss,
}


def features(path: Path) -> Floats:
    """Describe a photograph: mean colours of 8 x 8 cells, directions of the gradients in 4 x 4 and 8 x 8 cells."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB").resize((SIDE, SIDE)), dtype=np.float64) / 255
    colours = pixels.reshape(8, SIDE // 8, 8, SIDE // 8, 3).mean(axis=(1, 3)).ravel()
    down, across = np.gradient(pixels.mean(axis=2))
    strength = np.hypot(across, down)
    direction = (np.arctan2(down, across) % np.pi / np.pi * DIRECTIONS).astype(int) % DIRECTIONS
    return np.concatenate([colours, *(_gradients(strength, direction, cells) for cells in (4, 8))])


def _gradients(strength: Floats, direction: np.ndarray, cells: int) -> Floats:
    cell = np.arange(SIDE) * cells // SIDE
    place = (cell[:, None] * cells + cell) * DIRECTIONS + direction
    histogram = np.bincount(place.ravel(), strength.ravel(), cells * cells * DIRECTIONS)
    return np.asarray(4 * np.sqrt(histogram / (histogram.sum() + 1e-9)))


def suggested(described: Floats, believed: Floats, seed: int) -> Suggestions:
    """Suggest for each photograph what a model says that was trained on what is believed of the others."""
    fold = np.random.default_rng(seed).permutation(len(described)) % FOLDS
    probability = np.zeros_like(believed)
    for held_out in range(FOLDS):
        taught = fold != held_out
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=2000))
        weight = {"logisticregression__sample_weight": believed[taught].max(axis=1)}
        model.fit(described[taught], believed[taught].argmax(axis=1), **weight)
        probability[np.ix_(~taught, model[-1].classes_)] = model.predict_proba(described[~taught])
    task = np.arange(len(described), dtype=np.int32)
    return Suggestions(task, probability.argmax(axis=1).astype(np.int32), probability.max(axis=1))


def some_of(votes: Votes, most: int, seed: int) -> Votes:
    """Keep at most so many votes a task, drawn at random."""
    order = np.random.default_rng(seed).permutation(len(votes))
    by_task = order[np.argsort(votes.task[order], kind="stable")]
    task = votes.task[by_task]
    rank = np.arange(len(task)) - np.searchsorted(task, task)
    return votes.rows(np.sort(by_task[rank < most]))


def compare(votes: Votes, truth: np.ndarray, described: Floats, seed: int) -> dict[str, dict[str, float]]:
    """Score votes without and with the model."""
    without = _scored(votes, None)
    suggestions = suggested(described, _believed(without, votes), seed)
    together = _scored(votes, suggestions)
    figures = {
        name: {metric: measure(_believed(scored, votes), truth) for metric, measure in METRICS.items()}
        for name, scored in (("votes", without), ("votes and model", together))
    }
    figures["model"] = {"accuracy": float((suggestions.label == truth).mean())}
    figures["votes and model"]["share of the model"] = float(together.model_share.mean())
    return figures


def _scored(votes: Votes, suggestions: Suggestions | None) -> Scored:
    none = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=bool)
    learned = np.full(votes.n_annotators, np.nan)
    return score(votes, Listed(*none), Gold(*none), learned, suggestions=suggestions)


def _believed(scored: Scored, votes: Votes) -> Floats:
    belief = np.full((votes.n_tasks, votes.n_labels), 1 / votes.n_labels)
    belief[scored.classifications.task, scored.classifications.label] = scored.posterior
    return belief


def _read(folder: Path) -> tuple[CrowdSet, Floats]:
    votes = read_single_choice(folder, "labelme")
    images = folder / "labelme" / "images"
    return votes, np.array([features(images / f"{name}.jpg") for name in votes.item_names[:, 0]])


def main() -> int:
    """Run, print, and say by the exit status whether the model made all votes together no worse."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, required=True, help="folder with the sets")
    arguments.add_argument("--seed", type=int, default=0)
    chosen = arguments.parse_args()
    if not (chosen.data / "labelme" / "images").is_dir():
        print(f"{chosen.data} has no labelme/images; nothing was run")
        return 1
    crowd, described = _read(chosen.data)
    figures = {}
    for most in (1, 2, 3):
        votes = some_of(crowd.votes, most, chosen.seed)
        figures[f"{most}"] = compare(votes, crowd.truth, described, chosen.seed)
    print("LabelMe: up to so many votes a photograph, without and with a model trained on what the votes say\n")
    print(f"{'votes':>5}  {'who':<16} {'accuracy':>8} {'Brier':>6} {'log loss':>8} {'share':>6}")
    for most, rows in figures.items():
        for who, row in rows.items():
            cells = [row.get(name, float("nan")) for name in (*METRICS, "share of the model")]
            print(
                f"{most:>5}  {who:<16} "
                + " ".join(f"{cell:>{w}.3f}" for cell, w in zip(cells, (8, 6, 8, 6), strict=True))
            )
    every = figures["3"]
    no_worse = every["votes and model"]["accuracy"] >= every["votes"]["accuracy"]
    print(json.dumps({"benchmark": "model_voter", "seed": chosen.seed, "figures": figures, "no_worse": no_worse}))
    return 0 if no_worse else 1


if __name__ == "__main__":
    sys.exit(main())

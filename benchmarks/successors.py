"""Which versions are held back: while annotations grow, and where a model is broken.

    python benchmarks/successors.py --projects 20

Simulated projects of 2 to 10 kinds of images (Gaussian clusters that overlap more or less, up to a fifth of the
annotations wrong) are annotated step by step and retrained each time; a version that is held back does not answer,
and the next is compared with the one that does. Beside each version stands a broken one, whose embeddings are
shuffled. How good a model truly is, is measured on images that nobody annotates. Prints a table and, as its last
line, one JSON object; the exit status is 1 where a bar is missed.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from ml_backend.core.comparison import succeeds
from ml_backend.core.controls import Control
from ml_backend.core.model import Evidence, ProjectModel, fit_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_IMAGES, N_ANNOTATED, DIMENSION, FIRST = 200, 90, 32, 9
FALSE_BAR, BROKEN_BAR = 0.02, 0.9
_CLEARLY, _BROKEN = 1.1, 0.3


@dataclass(frozen=True)
class Retraining:
    """One comparison of a new version and of a broken one with the version that answers.

    Parameters
    ----------
    annotated, before : int
        Annotations of the new version and of the one that answers.
    right : tuple of float
        True accuracy of the version that answers, the new and the broken one.
    """

    annotated: int
    before: int
    right: tuple[float, float, float]
    held_back: bool
    broken_held_back: bool


def retrainings(seed: int) -> Iterator[Retraining]:
    """Annotate one project."""
    rng = np.random.default_rng(seed)
    n_kinds, spread, wrong, step = (
        rng.choice(values) for values in ((2, 4, 6, 10), (1.5, 2.5, 3.5), (0.0, 0.1, 0.2), (2, 5, 10))
    )
    labels = tuple(f"kind {number}" for number in range(n_kinds))
    control = Control("kind", "image", labels, multiple=False, image_key="image")
    centres, kinds = rng.normal(size=(n_kinds, DIMENSION)), rng.integers(n_kinds, size=N_IMAGES)
    images = (centres[kinds] + rng.normal(scale=spread, size=(N_IMAGES, DIMENSION))).astype(np.float32)
    chosen = np.where(rng.random(N_IMAGES) < wrong, rng.integers(n_kinds, size=N_IMAGES), kinds)

    def right(model: ProjectModel) -> float:
        scores = model.scores(images[N_ANNOTATED:], {"kind": control})["kind"][0]
        return float((scores.argmax(axis=1) == kinds[N_ANNOTATED:]).mean())

    answering: tuple[ProjectModel, int] | None = None
    for count in range(FIRST, N_ANNOTATED + 1, int(step)):
        rows = np.arange(count)
        evidence = [Evidence(control, rows, np.eye(n_kinds, dtype=np.float32)[chosen[:count]], tasks=rows)]
        shuffled = images[np.r_[rng.permutation(count), count:N_IMAGES]]
        new = fit_model(images, evidence)
        if answering is None:
            answering = new, count
            continue
        broken, (current, before) = fit_model(shuffled, evidence), answering
        held_back, broken_held_back = (
            not succeeds(current, model, evidence, images, chosen=False).promoted for model in (new, broken)
        )
        yield Retraining(count, before, (right(current), right(new), right(broken)), held_back, broken_held_back)
        if not held_back:
            answering = new, count


def share(of: list[Retraining], which: Callable[[Retraining], bool]) -> tuple[float, int]:
    """Return which share of some retrainings is so, and how many they are."""
    flags: NDArray[np.bool_] = np.array([which(retraining) for retraining in of], dtype=np.bool_)
    return (float(flags.mean()) if len(flags) else 0.0), len(flags)


def main() -> int:
    """Run the benchmark; the exit status is 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    every = [
        retraining
        for seed in range(options.seed, options.seed + options.projects)
        for retraining in retrainings(seed)
    ]
    better = [retraining for retraining in every if retraining.right[1] >= retraining.right[0]]
    more = [retraining for retraining in better if retraining.annotated > _CLEARLY * retraining.before]
    ruined = [retraining for retraining in every if retraining.right[0] - retraining.right[2] > _BROKEN]
    rows = {
        "no worse in truth": share(better, lambda retraining: retraining.held_back),
        "no worse, of clearly more annotations": share(more, lambda retraining: retraining.held_back),
        "broken: worse by .3 and more": share(ruined, lambda retraining: retraining.broken_held_back),
    }
    table = Table("new version", "retrainings", "held back")
    for name, (held_back, count) in rows.items():
        table.add_row(name, str(count), f"{held_back:.3f}")
    Console().print(table)
    figures = {name: {"held_back": round(held_back, 4), "of": count} for name, (held_back, count) in rows.items()}
    print(json.dumps(figures))
    false, _, caught = (held_back for held_back, _ in rows.values())
    return 0 if false < FALSE_BAR and caught >= BROKEN_BAR else 1


if __name__ == "__main__":
    sys.exit(main())

"""What is not suggested because it resembles nothing annotated, and what is suggested without being ticked.

Of LabelMe's photographs (--data DIR, see README.md), embedded by EfficientNet-Lite0, N are annotated with the
votes as they were cast. Of the others: how many lose their suggestion, how many of those of a class of which only
three were annotated, how many are ticked in advance with the settings' own limits, and how often what is ticked is
right, and what is not. Of images of other kinds, drawn here, how many get no suggestion: noise, plain colours,
scikit-learn's digits, and pages of text.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from suggestions import Set, labelme

from ml_backend.core.controls import Control
from ml_backend.core.identity import Identity
from ml_backend.core.model import Evidence, ProjectModel, fit_model
from ml_backend.core.preparing import EFFICIENTNET_LITE0
from ml_backend.core.suggestions import Ticking
from ml_backend.embedding.checkpoints import IMAGENET, state_file
from ml_backend.settings import read_settings

Floats = NDArray[np.float32]

OF_EACH = 30
RARE = 3
LOST_BAR, STRANGE_BAR = 0.02, 0.9
ENOUGH = 25
"""Annotated images from which strange ones are refused."""
WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "lorem", "ipsum", "dolor")


@dataclass(frozen=True)
class Figures:
    """Shares of held-out images, of a rare class, of strange images, and of what is ticked or not."""

    lost: float
    lost_rare: float
    strange_refused: float
    ticked: float
    right_ticked: float
    right_unticked: float


def main() -> int:
    """Run the benchmark; the exit status is 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with labelme/")
    parser.add_argument("--cache", type=Path, help="file (.npz) that keeps LabelMe's embeddings for the next run")
    parser.add_argument("--strange", type=Path, help="file (.npz) that keeps those of the strange images")
    parser.add_argument("--annotated", type=int, nargs="*", default=[12, 25, 50, 100, 405])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    photographs = labelme(options.data / "labelme", options.cache)[0]
    strangers = strange(options.strange)
    figures = {}
    for count in options.annotated:
        draws = [measured(photographs, strangers, count, seed) for seed in range(options.seeds)]
        figures[count] = Figures(*np.mean(draws, axis=0))
    return report(figures)


def strange(cache: Path | None) -> Floats:
    """Embed images of other kinds."""
    if cache is not None and cache.is_file():
        with np.load(cache) as stored:
            return np.concatenate([stored[name][:OF_EACH] for name in sorted(stored)])
    from ml_backend.embedding.networks import torch_embedder  # noqa: PLC0415 - imports torch

    learned = Identity(EFFICIENTNET_LITE0, IMAGENET)
    embedder = torch_embedder(learned, state_file(learned, read_settings()))
    rng = np.random.default_rng(0)
    kinds = {
        "noise": [Image.fromarray(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)) for _ in range(OF_EACH)],
        "plain": [Image.new("RGB", (300, 200), colour(rng, 0, 256)) for _ in range(OF_EACH)],
        "digits": [
            Image.fromarray((digit * 15.9).astype(np.uint8)).convert("RGB")
            for digit in load_digits().images[:OF_EACH]
        ],
        "text": [page(rng) for _ in range(OF_EACH)],
    }
    vectors = {kind: embedder.embed([embedder.prepare(each) for each in drawn]) for kind, drawn in kinds.items()}
    if cache is not None:
        np.savez(cache, **vectors)
    return np.concatenate([vectors[kind] for kind in sorted(vectors)])


def colour(rng: np.random.Generator, low: int, high: int) -> tuple[int, ...]:
    """Red, green and blue."""
    return tuple(int(value) for value in rng.integers(low, high, 3))


def page(rng: np.random.Generator) -> Image.Image:
    """A page of text."""
    image = Image.new("RGB", (600, 800), colour(rng, 235, 256))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(int(rng.integers(12, 22)))
    for line in range(40, 760, int(rng.integers(18, 30))):
        draw.text((40, line), " ".join(rng.choice(WORDS, 9)), fill=(20, 20, 20), font=font)
    return image


def measured(photographs: Set, strangers: Floats, count: int, seed: int) -> tuple[float, ...]:
    """Return the figures of one draw, in the order of ``Figures``."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(photographs.truth))
    annotated, others = rows[:count], rows[count:]
    model, control = fitted(photographs, annotated, seed)
    scores, _ = model.scores(photographs.embeddings[others], {control.name: control})[control.name]
    least = Ticking().least_score(control.name, model.controls[0].check)
    ticked = scores.max(axis=1) >= least
    right = scores.argmax(axis=1) == photographs.truth[others]
    of_rare = photographs.truth == seed % photographs.shares.shape[1]
    rare, common = rows[of_rare[rows]], rows[~of_rare[rows]]
    with_rare, _ = fitted(photographs, np.concatenate([common[: count - RARE], rare[:RARE]]), seed)
    return (
        1 - model.covers(photographs.embeddings[others]).mean(),
        1 - with_rare.covers(photographs.embeddings[rare[RARE:]]).mean(),
        1 - model.covers(strangers).mean(),
        ticked.mean(),
        right[ticked].mean() if ticked.any() else np.nan,
        right[~ticked].mean(),
    )


def fitted(photographs: Set, annotated: NDArray[np.int64], seed: int) -> tuple[ProjectModel, Control]:
    """Learn from the votes on some photographs."""
    labels = tuple(map(str, range(photographs.shares.shape[1])))
    control = Control("label", "image", labels, multiple=False, image_key="image")
    evidence = [Evidence(control, annotated, photographs.shares[annotated])]
    return fit_model(photographs.embeddings, evidence, seed), control


def report(figures: dict[int, Figures]) -> int:
    """Print the table, the bars and the figures."""
    console, bars = Console(), {}
    table = Table("annotated", *(each.name.replace("_", " ") for each in fields(Figures)))
    for count, each in figures.items():
        table.add_row(str(count), *(f"{figure:.3f}" for figure in asdict(each).values()))
        bars[f"{count}: at most {LOST_BAR:.0%} lose their suggestion"] = bool(each.lost <= LOST_BAR)
        if count >= ENOUGH:
            bars[f"{count}: {STRANGE_BAR:.0%} of what is strange gets none"] = bool(
                each.strange_refused >= STRANGE_BAR
            )
    console.print(table)
    for bar, met in bars.items():
        console.print(f"{'met   ' if met else 'MISSED'} {bar}")
    named = {str(count): {name: round(float(value), 4) for name, value in asdict(each).items()}
             for count, each in figures.items()}  # fmt: skip
    print(json.dumps({"figures": named, "bars": bars}))
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

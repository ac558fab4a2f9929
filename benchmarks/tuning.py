"""What pre-training and fine-tuning of the backbone bring, on the LabelMe photographs.

    python benchmarks/tuning.py --data DIR [--seeds 2] [--image-size 64]

A ResNet of 18 layers with random weights is the peer: no pretrained weights come with this repository. A fifth of
the photographs is held out by the rule of `ml-backend finetune`, and neither pre-training nor fine-tuning sees any
of them. Fine-tuning learns the shares of the annotators' votes on the others. What embeddings are worth is told by
a logistic regression on them (scikit-learn's, its strength chosen by five folds), which learns what most of the
annotators voted for and is judged by the truth of the held-out photographs. The embeddings are those that are
served: of 224 pixels, with the batch normalisation of the photographs that are not held out.

Prints a table and, as its last line, one JSON object; the exit status is 1 where the mean over the seeds of one
of the tuned variants is not above that of random weights.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from data_sets import read_single_choice
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from ml_backend.core.embedder import TorchEmbedder  # noqa: E402  # the repository is not always installed
from ml_backend.core.finetune.bodies import recalibrate  # noqa: E402
from ml_backend.core.finetune.finetuning import FineTuning  # noqa: E402
from ml_backend.core.finetune.held_tasks import Split, split  # noqa: E402
from ml_backend.core.finetune.loop import Options, Tuning  # noqa: E402
from ml_backend.core.finetune.pretraining import Pretraining  # noqa: E402
from ml_backend.core.finetune.targets import ControlTargets  # noqa: E402
from ml_backend.core.finetune.views import central_views, standardised  # noqa: E402
from ml_backend.core.preparing import PREPARATIONS  # noqa: E402

BACKBONE, SIDE = "resnet18", 256
PREPARATION = PREPARATIONS[BACKBONE]
BATCH, RECALIBRATED_ON = 40, 512
STRENGTHS = {"logisticregression__C": [0.001, 0.01, 0.1, 1.0]}
TUNED = ("pre-trained", "fine-tuned", "both")

State = dict[str, Tensor]


@dataclass(frozen=True)
class Photographs:
    """The set: ``images`` (n, 3, side, side) uint8, ``shares`` of the votes (n, 8), ``truth`` (n,), its parts."""

    images: np.ndarray
    shares: np.ndarray
    truth: np.ndarray
    parts: Split


Learn = Callable[[Photographs, State | None, Options], State]


def read(folder: Path) -> Photographs:
    """Read photographs and votes; a photograph's number stands for its task's id."""
    crowd = read_single_choice(folder, "labelme")
    votes, names = crowd.votes, crowd.item_names[:, 0]
    shares = np.zeros((votes.n_tasks, votes.n_labels), dtype=np.float32)
    np.add.at(shares, (votes.task, votes.label), 1)
    shares /= shares.sum(axis=1, keepdims=True)
    squares = []
    for name in names:
        with Image.open(folder / "labelme" / "images" / f"{name}.jpg") as image:
            squares.append(np.asarray(image.convert("RGB").resize((SIDE, SIDE))).transpose(2, 0, 1))
    ids = np.array([int(str(name).rsplit("-", 1)[1]) for name in names])
    rows = split(ids, names.astype(str), np.ones(len(ids), dtype=np.bool_))
    return Photographs(np.stack(squares), shares, crowd.truth, rows)


def pretrained(photographs: Photographs, start: State | None, options: Options) -> State:
    """Learn from the photographs that are not held out, without labels."""
    rows = np.sort(np.concatenate([photographs.parts.learned, photographs.parts.validated]))
    embedder = TorchEmbedder(BACKBONE, state=start, seed=options.seed)
    torch.manual_seed(options.seed)
    objective = Pretraining(
        embedder.network, embedder.dimension, image_size=options.image_size, preparation=PREPARATION
    )
    return _learned(
        Tuning(objective.to(memory_format=torch.channels_last), photographs.images, rows, options), "pre-train"
    )


def finetuned(photographs: Photographs, start: State | None, options: Options) -> State:
    """Learn the votes on the photographs that are not held out."""
    embedder = TorchEmbedder(BACKBONE, state=start, seed=options.seed)
    weights = np.ones(len(photographs.truth), dtype=np.float32)
    torch.manual_seed(options.seed)
    objective = FineTuning(
        embedder.network,
        embedder.dimension,
        images=photographs.images,
        targets=[ControlTargets(photographs.shares, weights, multiple=False)],
        validated=photographs.parts.validated,
        image_size=options.image_size,
        preparation=PREPARATION,
    )
    run = Tuning(
        objective.to(memory_format=torch.channels_last), photographs.images, photographs.parts.learned, options
    )
    return _learned(run, "fine-tune")


def worth(photographs: Photographs, state: State | None, seed: int) -> float:
    """Return the share of the held-out photographs that a logistic regression on the embeddings is right about."""
    embedder = TorchEmbedder(BACKBONE, state=state, seed=seed, batch_size=BATCH)
    taught = np.sort(np.concatenate([photographs.parts.learned, photographs.parts.validated]))
    sample = np.random.default_rng(seed).permutation(taught)[:RECALIBRATED_ON]
    recalibrate(embedder.network, (batch for batch in _served(photographs.images, sample)))
    with torch.inference_mode():
        every = np.arange(len(photographs.images))
        embeddings = torch.cat([embedder.network(batch) for batch in _served(photographs.images, every)]).numpy()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    search = GridSearchCV(model, STRENGTHS).fit(embeddings[taught], photographs.shares[taught].argmax(axis=1))
    return float(search.score(embeddings[photographs.parts.judged], photographs.truth[photographs.parts.judged]))


def _learned(run: Tuning, name: str) -> State:
    for step in run.run():
        if step.ends_epoch:
            validation = "" if step.validation is None else f", validation {step.validation:.3f}"
            print(f"{name}: epoch {step.epoch}, loss {step.loss:.3f}{validation}", file=sys.stderr, flush=True)
    return run.result()


def _served(images: np.ndarray, rows: np.ndarray) -> Iterator[Tensor]:
    for start in range(0, len(rows), BATCH):
        squares = torch.from_numpy(np.ascontiguousarray(images[rows[start : start + BATCH]]))
        yield standardised(central_views(squares, PREPARATION.crop, PREPARATION), PREPARATION)


def measure(photographs: Photographs, seed: int, chosen: argparse.Namespace) -> Iterator[tuple[str, float, float]]:
    """Return each variant's accuracy, and the seconds that it took to learn, with the random weights of a seed."""

    def options(epochs: int, batch_size: int, rate: float) -> Options:
        return Options(epochs, batch_size, chosen.image_size, rate, seed=seed)

    def timed(learn: Learn, start: State | None, how: Options) -> tuple[State, float]:
        began = time.monotonic()
        state = learn(photographs, start, how)
        return state, time.monotonic() - began

    without, with_labels = options(chosen.pretrain_epochs, 64, 1e-3), options(chosen.finetune_epochs, 32, 1e-3)
    yield "random", worth(photographs, None, seed), 0.0
    if "fine-tuned" in chosen.variants:
        state, seconds = timed(finetuned, None, with_labels)
        yield "fine-tuned", worth(photographs, state, seed), seconds
    if {"pre-trained", "both"}.isdisjoint(chosen.variants):
        return
    self_supervised, before = timed(pretrained, None, without)
    yield "pre-trained", worth(photographs, self_supervised, seed), before
    if "both" in chosen.variants:
        state, seconds = timed(finetuned, self_supervised, options(chosen.finetune_epochs, 32, 3e-4))
        yield "both", worth(photographs, state, seed), before + seconds


def main() -> int:
    """Run, print, and say by the exit status whether both ways are better than random weights."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, required=True, help="folder with the sets")
    arguments.add_argument("--seeds", type=int, default=2)
    arguments.add_argument("--first-seed", type=int, default=0)
    arguments.add_argument("--image-size", type=int, default=64)
    arguments.add_argument("--pretrain-epochs", type=int, default=10)
    arguments.add_argument("--finetune-epochs", type=int, default=15)
    arguments.add_argument("--variants", nargs="+", choices=TUNED, default=TUNED, help="(default: all three)")
    arguments.add_argument("--threads", type=int, default=0, help="of torch; 0 takes as many as it wants")
    chosen = arguments.parse_args()
    if not (chosen.data / "labelme" / "images").is_dir():
        print(f"{chosen.data} has no labelme/images; nothing was run")
        return 1
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    photographs = read(chosen.data)
    figures: dict[str, list[tuple[float, float]]] = {}
    print(f"LabelMe, {len(photographs.parts.judged)} held-out photographs, views of {chosen.image_size} pixels\n")
    print(f"{'seed':>4}  {'weights':<12} {'accuracy':>8} {'seconds':>8}")
    for seed in range(chosen.first_seed, chosen.first_seed + chosen.seeds):
        for name, accuracy, seconds in measure(photographs, seed, chosen):
            figures.setdefault(name, []).append((accuracy, seconds))
            print(f"{seed:>4}  {name:<12} {accuracy:>8.3f} {seconds:>8.0f}", flush=True)
    means = {name: np.mean(rows, axis=0).tolist() for name, rows in figures.items()}
    for name, (accuracy, seconds) in means.items():
        print(f"mean  {name:<12} {accuracy:>8.3f} {seconds:>8.0f}")
    bars = {name: means[name][0] > means["random"][0] for name in TUNED if name in means}
    print("\n" + "; ".join(f"{name} above random: {'met' if met else 'MISSED'}" for name, met in bars.items()))
    result = {
        "benchmark": "tuning",
        "photographs": len(photographs.truth),
        "held_out": len(photographs.parts.judged),
        "image_size": chosen.image_size,
        "epochs": [chosen.pretrain_epochs, chosen.finetune_epochs],
        "accuracy": {name: [round(accuracy, 4) for accuracy, _ in rows] for name, rows in figures.items()},
        "seconds": {name: round(mean[1], 1) for name, mean in means.items()},
        "bars": bars,
    }
    print(json.dumps(result))
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

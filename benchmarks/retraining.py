"""Retraining a project of 10,000 annotated tasks on a real Label Studio, step by step.

The embeddings are simulated (clusters of random vectors, in the cache already), and so are the annotations (one in
ten is wrong) and what consensus says: no image is fetched or embedded. Each training is `ml-backend train`, a
process of its own; its seconds include its start. The first one reads all tasks, as a program without a mirror
would each time: that is what the reading of the others is compared with.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ml_backend.core.identity import Identity
from ml_backend.embedding.cache import Address, Embedded, EmbeddingCache
from ml_backend.embedding.checkpoints import content_id

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import label_studio_server  # noqa: E402 - scripts/ is no package
from administrator import Administrator  # noqa: E402

from common.contract import signed_meta  # noqa: E402
from common.label_studio.client import TASK_ONLY  # noqa: E402

BAR_S = 10.0
LABELS = tuple(f"kind {number}" for number in range(8))
CONFIG = f"""<View><Image name="image" value="$image"/><Choices name="kind" toName="image">
{"".join(f'<Choice value="{label}"/>' for label in LABELS)}</Choices></View>"""
DIMENSION, WRONG, NEW = 512, 0.1, 20
PAGE = 1000
LIMIT_S = 1800
SETTLED_S = 40
"""Between the import and the first training: what changed shortly before a reading, the next one reads again."""
VERSION, SCORE = "consensus/Discovered", 0.9


@dataclass(frozen=True)
class Training:
    """What one training told of itself."""

    title: str
    seconds: dict[str, float]
    total_s: float
    read: int

    @property
    def without_publishing_s(self) -> float:
        """From the start of the process to its end, but for what it stored in Label Studio."""
        return self.total_s - self.seconds["publish"]


class Bench:
    """A project on a Label Studio, and the backend that learns it."""

    def __init__(self, studio: Administrator, token: str, folder: Path, n_tasks: int) -> None:
        self.studio, self.folder, self.n_tasks = studio, folder, n_tasks
        weights = folder / "weights.pt"
        self.number = studio.create_project(CONFIG, "Retraining")
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("ML_BACKEND")
        } | {
            "LABEL_STUDIO_URL": studio.url,
            "LABEL_STUDIO_API_KEY": token,
            "ML_BACKEND_DATA_DIR": str(folder / "backend"),
            "ML_BACKEND_WEIGHTS": str(weights),
        }
        rng = np.random.default_rng(0)
        self.kinds = rng.integers(len(LABELS), size=n_tasks)
        save_weights(weights)
        self.embed(Identity("resnet18", content_id(weights)).key, rng)
        answers = np.where(rng.random(n_tasks) < WRONG, rng.integers(len(LABELS), size=n_tasks), self.kinds)
        self.import_tasks(answers)

    def url(self, number: int) -> str:
        """Where a task's image would lie."""
        return f"/data/upload/{self.number}/{number:06d}.jpg"

    def embed(self, key: str, rng: np.random.Generator) -> None:
        """Put simulated embeddings into the cache: a cluster a kind, of a spread at which some overlap."""
        centres = rng.normal(size=(len(LABELS), DIMENSION)).astype(np.float32)
        noise = rng.normal(scale=2, size=(self.n_tasks, DIMENSION)).astype(np.float32)
        vectors = centres[self.kinds] + noise
        contents = [f"simulated-{number}" for number in range(self.n_tasks)]
        cache = EmbeddingCache(self.folder / "backend" / "embeddings.sqlite")
        cache.write(
            [
                *(Embedded(key, content, vector) for content, vector in zip(contents, vectors, strict=True)),
                *(
                    Address(self.number, self.url(number), content, float("inf"))
                    for number, content in enumerate(contents)
                ),
            ]
        )
        cache.close()

    def import_tasks(self, answers: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        """Import tasks with one annotation each, which is no ground truth."""
        for start in range(0, self.n_tasks, PAGE):
            body = [
                {
                    "data": {"image": self.url(number)},
                    "annotations": [{"result": [region(answers[number])], "ground_truth": False}],
                }
                for number in range(start, min(start + PAGE, self.n_tasks))
            ]
            self.studio.import_tasks(self.number, body)

    def annotate(self, first: int) -> None:
        """Let another annotation be made of some tasks."""
        for task, kind in list(zip(self.ids, self.kinds, strict=True))[first : first + NEW]:
            self.studio.annotate(task, region(kind))

    @cached_property
    def ids(self) -> list[int]:
        """Ids of the tasks, in the order of their import."""
        tasks = self.studio.tasks(self.number, "id,data", fields=TASK_ONLY)
        return [task["id"] for task in sorted(tasks, key=lambda task: task["data"]["image"])]

    def settle(self) -> None:
        """Store what consensus might say: a prediction a task, with a confidence."""
        body = [
            {"task": task, "model_version": VERSION, "score": SCORE, "result": [self._signed(task, region(kind))]}
            for task, kind in zip(self.ids, self.kinds, strict=True)
        ]
        self.studio.import_predictions(self.number, body)

    def _signed(self, task: int, region: dict[str, Any]) -> dict[str, Any]:
        secret = self.environment["LABEL_STUDIO_API_KEY"]
        return {**region, "meta": signed_meta(secret, task, VERSION, SCORE, region, "choices")}

    def train(self, title: str, *, publish: bool) -> Training:
        """Run `ml-backend train` and read from its log how long each step took."""
        own = {"ML_BACKEND_PUBLISH_PREDICTIONS": str(publish)}
        command = [sys.executable, "-m", "ml_backend", "train", "--project", str(self.number)]
        began = time.perf_counter()
        ended = subprocess.run(  # noqa: S603 - our own command
            command,
            env=self.environment | own,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        total_s = time.perf_counter() - began
        if ended.returncode:
            raise SystemExit(f"{title}: {ended.stderr}")
        lines = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
        trained = next(line for line in lines if line["event"] == "trained")
        return Training(title, trained["seconds"], total_s, trained["read"])


def region(kind: int) -> dict[str, Any]:
    """What an annotation says."""
    value = {"choices": [LABELS[kind]]}
    return {"id": "a", "from_name": "kind", "to_name": "image", "type": "choices", "value": value}


def save_weights(path: Path) -> None:
    """Write a state dict that learned nothing: weights with a name of their own need no images to calibrate."""
    import torch  # noqa: PLC0415 - here alone
    from torchvision.models import resnet18  # noqa: PLC0415

    torch.manual_seed(0)
    torch.save(resnet18(weights=None).state_dict(), path)


def main() -> int:
    """Run the benchmark; the exit status is 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    options = parser.parse_args()
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="retraining-")))
        running = label_studio_server.start(folder / "label-studio")
        ending.callback(running.stop)
        studio = ending.enter_context(Administrator(running.url, running.account.token))
        bench = Bench(studio, running.account.token, folder, options.tasks)
        time.sleep(SETTLED_S)
        made = [bench.train("first", publish=True)]
        bench.annotate(0)
        made.append(bench.train(f"{NEW} annotated", publish=True))
        bench.settle()
        made.append(bench.train("consensus has run", publish=False))
        bench.annotate(NEW)
        made.append(bench.train(f"{NEW} more", publish=False))
    return report(options.tasks, made)


def report(n_tasks: int, made: list[Training]) -> int:
    """Print the table, the bar and the figures."""
    table = Table("seconds", *(training.title for training in made))
    for step in made[0].seconds:
        table.add_row(step, *(f"{training.seconds[step]:.2f}" for training in made))
    starting = [training.total_s - sum(training.seconds.values()) for training in made]
    table.add_row("start and end of the process", *(f"{seconds:.2f}" for seconds in starting))
    table.add_row("all but publish", *(f"{training.without_publishing_s:.2f}" for training in made))
    table.add_row("tasks read", *(str(training.read) for training in made))
    console = Console()
    console.print(table)
    console.print("Embeddings, annotations and consensus are simulated; the last two trainings publish nothing.")
    first, again = made[:2]
    worst_s = max(again.without_publishing_s, made[3].without_publishing_s)
    met = worst_s < BAR_S
    ratio = first.seconds["pull"] / again.seconds["pull"]
    console.print(
        f"{'met   ' if met else 'MISSED'} retraining on {n_tasks} annotated tasks in {worst_s:.1f} s without "
        f"publishing (bar: {BAR_S:.0f} s); what has changed is read {ratio:.0f} times as fast as all"
    )
    figures = {
        training.title: {**training.seconds, "total": round(training.total_s, 2), "read": training.read}
        for training in made
    }
    print(
        json.dumps({"tasks": n_tasks, "retraining_s": round(worst_s, 2), "pull_ratio": round(ratio, 1), **figures})
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

"""Suggestions for a whole project: `ml-backend predict` beside Label Studio's own "Retrieve Predictions".

Both on a real Label Studio (SQLite), with the same model and with embeddings that are in the cache already: these
are simulated (random vectors), so that no image is fetched or embedded. Times are those that a person waits.
Meanwhile somebody annotates tasks of another project and changes their data, one request after the other: the
longest that such a request takes is measured while nothing else happens, while predictions are stored, and while
those of an old version are deleted. Takes five to ten minutes and says on standard error what it does.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from ml_backend.core.controls import Control
from ml_backend.core.model import Evidence, fit_model
from ml_backend.embedding.cache import Address, Embedded, EmbeddingCache
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.model_registry import Artifact, ModelRegistry
from ml_backend.settings import Settings
from ml_backend.training.publish import delete_old

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import label_studio_server  # noqa: E402 - scripts/ is no package
from administrator import Administrator  # noqa: E402
from servers import Server, free_port  # noqa: E402

BAR, WAIT_BAR_S = 10, 2.0
OTHERS_TASKS = 200  # of the project in which somebody works meanwhile
SMALL = 200  # tasks of a project whose predictions are all deleted
QUIET_S = 20.0
VERSION, KEY = "resnet18-random-20260131T120000-00aa", "resnet18:random-0:simulated"
LABELS = ("left", "right")
CONFIG = f"""<View><Image name="image" value="$image"/><Choices name="side" toName="image">
{"".join(f'<Choice value="{label}"/>' for label in LABELS)}</Choices></View>"""
LIMIT_S = 3600
DIMENSION = 512


def step(text: str) -> None:
    """Say on standard error what is measured now: the whole takes minutes."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Run the benchmark; the exit status is 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=3000)
    parser.add_argument(
        "--retrieved", type=int, default=3000, help="tasks that Label Studio retrieves itself (default: 3000)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="in which both take turns (default: 3)")
    parser.add_argument(
        "--deleting", type=float, default=60, help="seconds in which predictions are deleted (default: 60)"
    )
    options = parser.parse_args()
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="bulk-")))
        step("Label Studio starts")
        running = label_studio_server.start(folder / "label-studio", journal=label_studio_server.ITS_OWN)
        ending.callback(running.stop)
        studio = ending.enter_context(Administrator(running.url, running.account.token))
        port = free_port()
        own = {
            "LABEL_STUDIO_URL": running.url,
            "LABEL_STUDIO_API_KEY": running.account.token,
            "ML_BACKEND_DATA_DIR": str(folder / "backend"),
            "ML_BACKEND_WEIGHTS": "random",
            "ML_BACKEND_PUBLIC_URL": f"http://127.0.0.1:{port}",
        }
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("ML_BACKEND")
        } | own
        step(f"{2 * options.rounds + 1} projects of {options.tasks} tasks and one of {SMALL} are made")
        ours, peers = ([project(studio, folder, options.tasks) for _ in range(options.rounds)] for _ in range(2))
        busy, small = (project(studio, folder, count) for count in (options.tasks, SMALL))
        other = studio.create_project(CONFIG, "Somebody else's")
        studio.import_tasks(other, [{"image": f"/data/{number}.jpg"} for number in range(OTHERS_TASKS)])

        command = [sys.executable, "-m", "ml_backend", "serve", "--port", str(port)]
        server = Server("The ML backend", command, environment, folder / "ml-backend.log")
        ending.callback(server.stop)
        server.wait_for_answer(f"{own['ML_BACKEND_PUBLIC_URL']}/health", LIMIT_S)
        predicted(environment, folder, small)
        mine, peer = Done(), Done()
        for our, its in zip(ours, peers, strict=True):
            step(f"ml-backend predict, then Label Studio's retrieval of {options.retrieved} tasks")
            took = predicted(environment, folder, our)
            mine = mine.with_more(Done(stored(studio, our), took))
            studio.add_connection(its, own["ML_BACKEND_PUBLIC_URL"], VERSION, None)
            peer = peer.with_more(retrieve(studio, its, options.retrieved))
        step("ml-backend predict once more")
        again_s = predicted(environment, folder, ours[0])

        waits: dict[str, list[float]] = {}
        step(f"somebody works alone for {QUIET_S:g} s")
        with somebody_works(running, other, waits.setdefault("alone", [])):
            time.sleep(QUIET_S)
        step("ml-backend predict, somebody works meanwhile")
        with somebody_works(running, other, waits.setdefault("storing", [])):
            beside_s = predicted(environment, folder, busy)
        step(
            f"{SMALL} predictions are deleted, then for {options.deleting:g} s of {options.tasks}; somebody works"
        )
        with somebody_works(running, other, waits.setdefault("deleting", [])):
            deleting = [deleted(own, small, LIMIT_S), deleted(own, busy, options.deleting)]
        left = [SMALL - stored(studio, small), options.tasks - stored(studio, busy)]
    gone = [Done(count, seconds) for count, seconds in zip(left, deleting, strict=True)]
    return report(options, mine, peer, {"once more": again_s, "beside": beside_s}, waits, gone)


class Done(NamedTuple):
    """So many predictions in so many seconds."""

    count: int = 0
    seconds: float = 0.0

    def with_more(self, more: "Done") -> "Done":
        """Return both together."""
        return Done(self.count + more.count, self.seconds + more.seconds)

    @property
    def a_second(self) -> float:
        """How many a second."""
        return self.count / self.seconds


def stored(studio: Administrator, number: int) -> int:
    """Count the predictions of the version in a project."""
    return studio.version_counts(number).get(VERSION, (0, ""))[0]


def project(studio: Administrator, folder: Path, n_tasks: int) -> int:
    """Make a project with tasks, a model and embeddings that nobody has to compute."""
    made = studio.create_project(CONFIG, "Bulk")
    urls = [f"/data/upload/{made}/{number:06d}.jpg" for number in range(n_tasks)]
    for start in range(0, n_tasks, 1000):
        studio.import_tasks(made, [{"image": url} for url in urls[start : start + 1000]])
    rng = np.random.default_rng(made)
    vectors = rng.normal(size=(n_tasks, DIMENSION)).astype(np.float32)
    vectors[: n_tasks // 2, 0] += 8
    contents = [f"{made}-{number}" for number in range(n_tasks)]
    cache = EmbeddingCache(folder / "backend" / "embeddings.sqlite")
    cache.write(
        [
            *(Embedded(KEY, content, vector) for content, vector in zip(contents, vectors, strict=True)),
            *(Address(made, url, content, float("inf")) for url, content in zip(urls, contents, strict=True)),
        ]
    )
    cache.close()
    control = Control("side", "image", LABELS, multiple=False, image_key="image")
    rows = np.arange(0, n_tasks, 10)
    shares = np.array([[1, 0] if row < n_tasks // 2 else [0, 1] for row in rows], dtype=np.float32)
    artifact = Artifact(
        model_version=VERSION,
        created_at=datetime(2026, 1, 31, 12, tzinfo=UTC).isoformat(),
        backbone="resnet18",
        weights_id="random",
        seed=0,
        embedding_key=KEY,
        label_config="",
        n_images=n_tasks,
        n_calibrated=0,
        model=fit_model(vectors, [Evidence(control, rows, shares)]),
        calibration={},
    )
    registry = ModelRegistry(folder / "backend")
    registry.save(made, artifact)
    registry.switch(made, VERSION)
    return made


def predicted(environment: dict[str, str], folder: Path, number: int) -> float:
    """Seconds that the command takes, its start included."""
    began = time.perf_counter()
    subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "ml_backend", "predict", "--force", "--project", str(number)],
        env=environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=LIMIT_S,
    )
    return time.perf_counter() - began


@contextmanager
def somebody_works(running: Any, number: int, waits: list[float]) -> Iterator[None]:  # noqa: ANN401 - a server of ours
    """Annotate tasks and change their data meanwhile; the seconds of each request go into ``waits``."""
    ended = threading.Event()
    result = [{"from_name": "side", "to_name": "image", "type": "choices", "value": {"choices": ["left"]}}]

    def work() -> None:
        with Administrator(running.url, running.account.token) as studio:
            for turn, task in enumerate(itertools.cycle(studio.task_ids(number))):
                if ended.is_set():
                    break
                began = time.perf_counter()
                if turn % 2:
                    studio.ask("PATCH", f"/api/tasks/{task}/", json={"data": {"image": f"/data/{task}.jpg"}})
                else:
                    studio.ask("POST", f"/api/tasks/{task}/annotations/", json={"result": result})
                waits.append(time.perf_counter() - began)
                time.sleep(0.05)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()


def deleted(own: dict[str, str], number: int, limit_s: float) -> float:
    """Seconds in which a version's predictions are deleted, as an old one's: all, or what the limit allows."""
    settings = Settings.model_validate(
        {"label_studio_url": own["LABEL_STUDIO_URL"], "label_studio_api_key": own["LABEL_STUDIO_API_KEY"]}
    )
    began = time.perf_counter()
    with LabelStudioClient(settings) as client:
        delete_old(client, number, [VERSION], 0, limit_s=limit_s)
    return time.perf_counter() - began


def retrieve(studio: Administrator, number: int, count: int) -> Done:
    """Let Label Studio retrieve predictions of some tasks."""
    chosen = studio.task_ids(number)[:count]
    began = time.perf_counter()
    studio.act(number, "retrieve_tasks_predictions", chosen)
    seconds = time.perf_counter() - began
    return Done(stored(studio, number), seconds)


def report(
    options: argparse.Namespace,
    ours: Done,
    peer: Done,
    seconds: dict[str, float],
    waits: dict[str, list[float]],
    gone: list[Done],
) -> int:
    """Print the table, the bars and the figures."""
    ratio = ours.a_second / peer.a_second
    table = Table("way", "stored", "seconds", "a second")
    for name, done in (
        ("Label Studio: Retrieve Predictions", peer),
        ("ml-backend predict", ours),
        ("the same once more", Done(0, seconds["once more"])),
        ("another project, while somebody works", Done(options.tasks, seconds["beside"])),
        ("deleting all of an old version", gone[0]),
        ("deleting some of an old version", gone[1]),
    ):
        table.add_row(name, str(done.count), f"{done.seconds:.1f}", f"{done.a_second:.1f}")
    console = Console()
    console.print(table)
    of_others = Table("somebody else's requests", "count", "median s", "longest s")
    for name, each in waits.items():
        of_others.add_row(name, str(len(each)), f"{np.median(each):.3f}", f"{max(each):.2f}")
    console.print(of_others)
    longest = {name: round(max(each), 2) for name, each in waits.items()}
    bars = {
        f"nobody waits for more than {WAIT_BAR_S:g} s": max(longest.values()) <= WAIT_BAR_S,
        f"{ratio:.1f} times as fast (bar: {BAR})": ratio >= BAR,
        "nothing left out": ours.count == options.rounds * options.tasks
        and peer.count == options.rounds * options.retrieved
        and gone[0].count == SMALL,
    }
    for bar, met in bars.items():
        console.print(f"{'met   ' if met else 'MISSED'} {bar}")
    print(json.dumps({
        "tasks": options.tasks, "rounds": options.rounds,
        "stored": ours.count, "bulk_s": round(ours.seconds, 2),
        "retrieved": peer.count, "retrieve_s": round(peer.seconds, 2), "ratio": round(ratio, 1),
        "again_s": round(seconds["once more"], 2), "beside_s": round(seconds["beside"], 2),
        "deleted": [{"count": done.count, "seconds": round(done.seconds, 2)} for done in gone],
        "longest_s": longest,
    }))  # fmt: skip
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

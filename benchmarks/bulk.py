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
from typing import Any

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
    parser.add_argument(
        "--deleting", type=float, default=60, help="seconds in which predictions are deleted (default: 60)"
    )
    options = parser.parse_args()
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="bulk-")))
        step("Label Studio starts")
        running = label_studio_server.start(folder / "label-studio")
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
        step(f"three projects of {options.tasks} tasks and one of {SMALL} are made")
        counts = (options.tasks, options.tasks, options.tasks, SMALL)
        peer, ours, busy, small = (project(studio, folder, count) for count in counts)
        other = studio.create_project(CONFIG, "Somebody else's")
        studio.import_tasks(other, [{"image": f"/data/{number}.jpg"} for number in range(OTHERS_TASKS)])
        waits: dict[str, list[float]] = {}
        step(f"somebody works alone for {QUIET_S:g} s")
        with somebody_works(running, other, waits.setdefault("alone", [])):
            time.sleep(QUIET_S)
        step("ml-backend predict, and once more")
        bulk_s = predicted(environment, folder, ours)
        again_s = predicted(environment, folder, ours)
        step("ml-backend predict, somebody works meanwhile")
        with somebody_works(running, other, waits.setdefault("storing", [])):
            beside_s = predicted(environment, folder, busy)
        predicted(environment, folder, small)
        stored = studio.ask("GET", f"/api/projects/{ours}/model-versions/").get(VERSION, 0)
        step(f"{SMALL} predictions are deleted, then for {options.deleting:g} s those of {ours}; somebody works")
        with somebody_works(running, other, waits.setdefault("deleting", [])):
            deleting = [deleted(own, small, LIMIT_S), deleted(own, ours, options.deleting)]
        gone = [count - studio.ask("GET", f"/api/projects/{number}/model-versions/").get(VERSION, 0)
                for number, count in ((small, SMALL), (ours, stored))]  # fmt: skip

        command = [sys.executable, "-m", "ml_backend", "serve", "--port", str(port)]
        server = Server("The ML backend", command, environment, folder / "ml-backend.log")
        ending.callback(server.stop)
        server.wait_for_answer(f"{own['ML_BACKEND_PUBLIC_URL']}/health", LIMIT_S)
        studio.add_connection(peer, own["ML_BACKEND_PUBLIC_URL"], VERSION, None)
        step(f"Label Studio retrieves predictions for {options.retrieved} tasks itself")
        retrieved, peer_s = retrieve(studio, peer, options.retrieved)
    return report(
        options,
        (stored, bulk_s, again_s, beside_s),
        (retrieved, peer_s),
        waits,
        list(zip(gone, deleting, strict=True)),
    )


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


def retrieve(studio: Administrator, number: int, count: int) -> tuple[int, float]:
    """Let Label Studio retrieve predictions of some tasks; how many it stored, and the seconds."""
    chosen = studio.task_ids(number)[:count]
    began = time.perf_counter()
    studio.act(number, "retrieve_tasks_predictions", chosen)
    seconds = time.perf_counter() - began
    return studio.ask("GET", f"/api/projects/{number}/model-versions/").get(VERSION, 0), seconds


def report(
    options: argparse.Namespace,
    ours: tuple[int, float, float, float],
    peer: tuple[int, float],
    waits: dict[str, list[float]],
    deleting: list[tuple[int, float]],
) -> int:
    """Print the table, the bar and the figures."""
    stored, bulk_s, again_s, beside_s = ours
    retrieved, peer_s = peer
    ratio = (stored / bulk_s) / (retrieved / peer_s)
    table = Table("way", "tasks", "stored", "seconds", "a second")
    table.add_row("Label Studio: Retrieve Predictions", str(options.retrieved), str(retrieved), f"{peer_s:.1f}",
                  f"{retrieved / peer_s:.1f}")  # fmt: skip
    table.add_row("ml-backend predict", str(options.tasks), str(stored), f"{bulk_s:.1f}", f"{stored / bulk_s:.0f}")
    table.add_row("the same again", str(options.tasks), "0", f"{again_s:.1f}", "-")
    table.add_row(
        "while somebody works", str(options.tasks), str(stored), f"{beside_s:.1f}", f"{stored / beside_s:.0f}"
    )
    console = Console()
    console.print(table)
    for count, seconds in deleting:
        console.print(f"{count} predictions of an old version were deleted in {seconds:.1f} s")
    of_others = Table("somebody else's requests", "count", "median s", "longest s")
    for name, seconds in waits.items():
        of_others.add_row(name, str(len(seconds)), f"{np.median(seconds):.3f}", f"{max(seconds):.2f}")
    console.print(of_others)
    longest = {name: round(max(seconds), 2) for name, seconds in waits.items()}
    short = max(longest.values()) <= WAIT_BAR_S
    console.print(f"{'met   ' if short else 'MISSED'} nobody waits for more than {WAIT_BAR_S:g} s")
    met = ratio >= BAR and stored == options.tasks and retrieved == options.retrieved and deleting[0][0] == SMALL
    console.print(f"{'met   ' if met else 'MISSED'} {ratio:.0f} times as fast (bar: {BAR}), nothing left out")
    print(json.dumps({
        "tasks": options.tasks, "stored": stored, "bulk_s": round(bulk_s, 2), "again_s": round(again_s, 2),
        "beside_s": round(beside_s, 2),
        "retrieved": retrieved, "retrieve_s": round(peer_s, 2), "ratio": round(ratio, 1),
        "deleted": [{"count": count, "seconds": round(seconds, 2)} for count, seconds in deleting],
        "longest_s": longest,
    }))  # fmt: skip
    return 0 if met and short else 1


if __name__ == "__main__":
    sys.exit(main())

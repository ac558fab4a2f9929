"""Annotators at work while the backend trains and a whole project is predicted, on a real Label Studio.

Simulated annotators open tasks of one project as the label stream serves them, ask the backend for the task's
suggestion as Label Studio does, and submit a label: first alone, then while another project is predicted in bulk,
the first is trained again and again, and somebody puts images into it that take minutes to decode. Times of Label
Studio's own answers stand beside ours: they are the peer.
"""

import argparse
import io
import itertools
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import numpy as np
from hostile_images import slow_jpeg
from PIL import Image
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import label_studio_server  # noqa: E402 - scripts/ is no package
from administrator import Administrator, file_name  # noqa: E402
from servers import Server, free_port  # noqa: E402

from common.errors import LabelStudioError  # noqa: E402
from common.label_studio.client import TASK_ONLY  # noqa: E402

BAR_MS = 300
LABELS = ("left", "right")
CONFIG = f"""<View><Image name="image" value="$image"/><Choices name="side" toName="image">
{"".join(f'<Choice value="{label}"/>' for label in LABELS)}</Choices></View>"""
FIRST = 60
"""Annotations before the backend is connected."""
LIMIT_S = 900
HOSTILE_SCANS = 20_000
"""Of a JPEG of 1.2 MB, which takes almost a minute to decode."""
QUIET_S = 20.0
WRONG = 0.1
"""Share of the answers that are wrong. Where all repeat what is known, a training has nothing new to learn."""
PAGE = 500
TRAININGS = re.compile(r'^ml_backend_trainings_total\{result="(\w+)"\} (\S+)$', re.MULTILINE)
UPLOADED = 25
"""Images a request: Label Studio on SQLite keeps all others waiting as long as it takes."""


def main() -> int:
    """Run the benchmark; the exit status is 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5, help="of the loaded part (default: 5)")
    parser.add_argument("--alone", type=float, default=1, help="minutes without load before it (default: 1)")
    parser.add_argument("--annotators", type=int, default=8)
    parser.add_argument("--think", type=float, default=3, help="seconds an annotator looks at a task, on average")
    parser.add_argument("--tasks", type=int, default=300, help="of the annotated project")
    parser.add_argument("--bulk", type=int, default=100, help="new tasks of the other project, each time")
    parser.add_argument("--hostile", type=int, default=2, help="images of the annotated project without end")
    parser.add_argument("--first", type=int, default=1000, help="of them before the load begins")
    options = parser.parse_args()
    with ExitStack() as ending:
        stage = Stage.build(ending, options)
        alone = stage.work(options.alone * 60, options.think)
        stage.say("uploading what is predicted in bulk")
        upload(stage.studio, stage.bulk, options.first, stage.names)
        stage.say("with a bulk prediction and trainings")
        with Load(stage, options.first, options.bulk, options.hostile) as load:
            loaded = stage.work(options.minutes * 60, options.think)
        stage.say("waiting for the last training")
        lost = stage.lost()
    return report(options, alone, loaded, load, lost)


@dataclass
class Times:
    """Seconds of each kind of request, and what went wrong."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    faults: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, kind: str, ask: Callable[[], httpx.Response]) -> httpx.Response | None:
        """Time a request; a fault is counted."""
        began = time.perf_counter()
        try:
            answer = ask()
            fault = "" if answer.is_success else str(answer.status_code)
        except httpx.HTTPError as error:
            answer, fault = None, type(error).__name__
        with self.lock:
            self.seconds[kind].append(time.perf_counter() - began)
            if fault:
                self.faults[f"{kind} {fault}"] += 1
        return None if fault else answer

    def percentile(self, kind: str, share: float) -> float:
        """Milliseconds below which this share of the requests was answered; NaN without any."""
        seconds = self.seconds.get(kind)
        return float(np.percentile(seconds, share) * 1000) if seconds else float("nan")


@dataclass(frozen=True)
class Stage:
    """A Label Studio with two projects, a backend, and accounts."""

    studio: Administrator
    backend: str
    environment: dict[str, str]
    folder: Path
    tokens: tuple[str, ...]
    annotated: int
    bulk: int
    truth: dict[int, str]
    names: Iterator[int]
    console: Console

    @classmethod
    def build(cls, ending: ExitStack, options: argparse.Namespace) -> "Stage":
        """Start everything and annotate what the first training needs."""
        console = Console(stderr=True)
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="load-")))
        console.print("starting Label Studio")
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
            "ML_BACKEND_QUIET_S": "2",
            "ML_BACKEND_MAX_WAIT_S": "30",
        }
        without_settings = {
            key: value for key, value in os.environ.items() if not key.startswith(("LABEL_STUDIO", "ML_BACKEND"))
        }
        environment = without_settings | own
        command = [sys.executable, "-m", "ml_backend", "serve", "--port", str(port)]
        server = Server("The ML backend", command, environment, folder / "ml-backend.log")
        ending.callback(server.stop)
        server.wait_for_answer(f"{own['ML_BACKEND_PUBLIC_URL']}/health", LIMIT_S)
        emails = [f"annotator{number}@example.com" for number in range(options.annotators)]
        tokens = tuple(studio.sign_up(emails).values())
        names = itertools.count()
        annotated = make_project(studio, "Annotated", options.annotators)
        bulk = make_project(studio, "Predicted in bulk", 1)
        console.print("uploading images")
        truth = upload(studio, annotated, options.tasks, names)
        more = upload(studio, bulk, FIRST, names)
        stage = cls(
            studio,
            own["ML_BACKEND_PUBLIC_URL"],
            environment,
            folder,
            tokens,
            annotated,
            bulk,
            truth,
            names,
            console,
        )
        console.print("annotating and training")
        for project, tasks in ((annotated, list(truth.items())[:FIRST]), (bulk, list(more.items()))):
            for task, label in tasks:
                studio.annotate(task, *regions(label))
            stage.command("train", "--project", str(project))
            studio.add_connection(project, stage.backend, stage.version(project), None)
        return stage

    def say(self, sentence: str) -> None:
        """Tell how far it is."""
        self.console.print(sentence)

    def command(self, *arguments: str) -> None:
        """Run a command of the backend."""
        log = self.folder / f"command-{threading.get_ident()}.log"
        with log.open("ab") as output:
            ended = subprocess.run(  # noqa: S603 - our own command
                [sys.executable, "-m", "ml_backend", *arguments],
                env=self.environment,
                cwd=self.folder,
                stdout=output,
                stderr=output,
                check=False,
                timeout=LIMIT_S,
            )
        if ended.returncode:
            self.say(f"{' '.join(arguments)} exited with {ended.returncode}: {log.read_text()[-2000:]}")
            ended.check_returncode()

    def version(self, project: int) -> str:
        """The version that answers for a project."""
        url = f"{self.backend}/setup"
        answer = httpx.post(url, json={"project": str(project), "schema": CONFIG}, timeout=30)
        return str(answer.json()["model_version"])

    def trainings(self) -> Counter[str]:
        """How many trainings have ended in the background, by result."""
        page = httpx.get(f"{self.backend}/metrics", timeout=30).text
        return Counter({result: round(float(count)) for result, count in TRAININGS.findall(page)})

    def work(self, seconds: float, think: float) -> Times:
        """Let all annotators work for a while."""
        times, ends_at = Times(), time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._annotate, args=(token, ends_at, think, times)) for token in self.tokens
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return times

    def lost(self) -> int:
        """Count the tasks without a prediction of the version that answers, once all trainings have ended.

        Those about which the model has nothing to say when it is asked have lost none.
        """
        self.settle()
        self.command("predict", "--project", str(self.bulk))
        lost = 0
        for project in (self.annotated, self.bulk):
            stored = self.studio.tasks_with_version(project, self.version(project))
            for task in self.studio.tasks(project, "id,data", fields=TASK_ONLY):
                if task["id"] not in stored:
                    body = request_for(project, task)
                    answer = httpx.post(f"{self.backend}/predict", json=body, timeout=100).json()
                    self.say(f"no prediction for task {task['id']}; when asked: {answer['results']}")
                    lost += bool(answer["results"][0])
        return lost

    def settle(self) -> None:
        """Wait until the version has stayed the same for a while."""
        ends_at = time.monotonic() + LIMIT_S
        before, since = "", time.monotonic()
        while time.monotonic() < ends_at and time.monotonic() - since < QUIET_S * 2:
            now = self.version(self.annotated)
            if now != before:
                before, since = now, time.monotonic()
            time.sleep(1)

    def _annotate(self, token: str, ends_at: float, think: float, times: Times) -> None:
        rng = random.Random(token)  # noqa: S311 - pauses
        with (
            httpx.Client(headers={"Authorization": f"Token {token}"}, timeout=100) as http,
            httpx.Client(timeout=100) as backend,
        ):
            time.sleep(rng.uniform(0, think))
            while time.monotonic() < ends_at:
                url = f"{self.studio.url}/api/projects/{self.annotated}/next"
                served = times.take("Label Studio: open the next task", lambda url=url: http.get(url))
                if served is None:
                    time.sleep(1)
                    continue
                task = served.json()
                body = request_for(self.annotated, task)
                answer = times.take(
                    "ours: the suggestion of a task",
                    lambda body=body: backend.post(f"{self.backend}/predict", json=body),
                )
                hostile = "hostile" in file_name(task["data"]["image"])
                if answer is None or not (hostile or answer.json()["results"][0]):
                    times.empty += 1
                time.sleep(rng.uniform(0.5, 1.5) * think)
                label = self.truth.get(task["id"], LABELS[0])
                if rng.random() < WRONG:
                    label = next(other for other in LABELS if other != label)
                done = {"result": regions(label), "lead_time": think}
                url = f"{self.studio.url}/api/tasks/{task['id']}/annotations/"
                times.take("Label Studio: submit", lambda url=url, done=done: http.post(url, json=done))


class Load:
    """Predicts new tasks of one project in bulk, opens images without end, and counts the trainings meanwhile."""

    def __init__(self, stage: Stage, first: int, size: int, hostile: int) -> None:
        self._stage, self._size, self._waiting, self._hostile = stage, size, first, hostile
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._predict)
        self.predicted, self.faults, self.hostile = 0, 0, Times()
        self.trainings = stage.trainings()

    def __enter__(self) -> Self:
        self._harm = threading.Thread(target=self._open_hostile)
        self._thread.start()
        self._harm.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._harm.join()
        self.trainings = self._stage.trainings() - self.trainings

    def _open_hostile(self) -> None:
        """Add images that take minutes to decode, and open all of them at once."""
        project, studio = self._stage.annotated, self._stage.studio
        files = {f"hostile{number}.jpg": slow_jpeg(HOSTILE_SCANS + number) for number in range(self._hostile)}
        before = {task["id"] for task in studio.tasks(project, "id")}
        studio.upload(project, files, make_tasks=True)
        tasks = [task for task in studio.tasks(project, "id,data") if task["id"] not in before]

        def open_task(task: dict[str, Any]) -> None:
            body = {"project": str(project), "label_config": CONFIG, "tasks": [task]}
            self.hostile.take(
                "ours: an image without end",
                lambda: httpx.post(f"{self._stage.backend}/predict", json=body, timeout=100),
            )

        for _ in range(2):  # what is known by then is answered at once
            threads = [threading.Thread(target=open_task, args=(task,)) for task in tasks]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def _predict(self) -> None:
        while not self._ending.is_set():
            try:
                self._stage.command("predict", "--project", str(self._stage.bulk))
                self.predicted += self._waiting
                self._waiting = 0
                upload(self._stage.studio, self._stage.bulk, self._size, self._stage.names)
                self._waiting = self._size
            except (subprocess.SubprocessError, LabelStudioError) as error:
                self.faults += 1
                self._stage.say(f"bulk: {type(error).__name__}")


def request_for(project: int, task: dict[str, Any]) -> dict[str, Any]:
    """Return what Label Studio asks the backend for the suggestion of a task with."""
    tasks = [{"id": task["id"], "data": task["data"]}]
    return {"project": str(project), "label_config": CONFIG, "tasks": tasks}


def make_project(studio: Administrator, title: str, overlap: int) -> int:
    """Make a project of which every task may be annotated so many times."""
    return studio.create_project(CONFIG, title, maximum_annotations=overlap)


def upload(studio: Administrator, project: int, count: int, names: Iterator[int]) -> dict[int, str]:
    """Add tasks with new images, and give the label of each."""
    label_of: dict[str, str] = {}
    for start in range(0, count, UPLOADED):
        files = {}
        for number in itertools.islice(names, min(UPLOADED, count - start)):
            name, label = f"{number:07d}.jpg", LABELS[number % 2]
            label_of[name], files[name] = label, drawing(number, label)
        studio.upload(project, files, make_tasks=True)
    uploaded = {task["id"]: file_name(task["data"]["image"]) for task in studio.tasks(project, "id,data")}
    return {task: label_of[name] for task, name in uploaded.items() if name in label_of}


def drawing(number: int, label: str) -> bytes:
    """A made photograph of 256 by 256: noise with a bright side."""
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 120, (32, 32, 3), dtype=np.uint8)
    half = slice(0, 16) if label == "left" else slice(16, 32)
    pixels[:, half] += 120
    file = io.BytesIO()
    Image.fromarray(pixels).resize((256, 256)).save(file, "JPEG", quality=90)
    return file.getvalue()


def regions(label: str) -> list[dict[str, Any]]:
    """What an annotator submits."""
    return [{"id": "a", "from_name": "side", "to_name": "image", "type": "choices", "value": {"choices": [label]}}]


def report(options: argparse.Namespace, alone: Times, loaded: Times, load: Load, lost: int) -> int:
    """Print the table, the bars and the figures."""
    table = Table("request", "alone p50 ms", "p99 ms", "loaded p50 ms", "p99 ms", "requests")
    for kind in sorted(loaded.seconds):
        cells = [f"{times.percentile(kind, share):.0f}" for times in (alone, loaded) for share in (50, 99)]
        table.add_row(kind, *cells, str(len(loaded.seconds[kind])))
    console = Console()
    console.print(table)
    faults = loaded.faults + alone.faults + load.hostile.faults
    ours = loaded.percentile("ours: the suggestion of a task", 99)
    figures = {
        "minutes": options.minutes,
        "annotators": options.annotators,
        "suggestion_p99_ms": round(ours, 1),
        "suggestion_p99_ms_alone": round(alone.percentile("ours: the suggestion of a task", 99), 1),
        "next_p99_ms": round(loaded.percentile("Label Studio: open the next task", 99), 1),
        "next_p99_ms_alone": round(alone.percentile("Label Studio: open the next task", 99), 1),
        "requests": sum(map(len, loaded.seconds.values())),
        "faults": dict(faults),
        "without_suggestion": loaded.empty,
        "hostile_s": [round(seconds, 2) for seconds in sorted(itertools.chain(*load.hostile.seconds.values()))],
        "bulk_predicted": load.predicted,
        "bulk_faults": load.faults,
        "trainings": dict(load.trainings),
        "lost_predictions": lost,
    }
    bars = {
        f"p99 of our answers under {BAR_MS} ms": ours < BAR_MS,
        "no fault": not faults and not load.faults,
        "every task opened had its suggestion": not loaded.empty,
        "no lost prediction": lost == 0,
        "a bulk prediction and a training meanwhile": load.predicted > 0
        and bool(load.trainings["promoted"] + load.trainings["held_back"]),
    }
    for bar, met in bars.items():
        console.print(f"{'met   ' if met else 'MISSED'} {bar}")
    print(json.dumps(figures))
    return 0 if all(bars.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

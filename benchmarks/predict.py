"""The speed of `/predict` beside a bare ONNX Runtime loop and beside a plain torch loop, in one run.

    python benchmarks/predict.py [--data DIR] [--images 1000] [--requests 10000] [--backbone NAME]

`ml-backend serve` runs as a child, with settings that are not named here at their defaults, and is asked as Label
Studio asks it. The pictures come from a small HTTP server, a child too, that stands for Label Studio: they are the
LabelMe photographs of --data (see benchmarks/README.md), or made up. A ResNet's weights are random, which costs no
time; whatever is served, the plain loop is a ResNet-18. Without --backbone a ResNet-18 is served and then
EfficientNet-Lite0.

Cold: the pictures are taken in parts; of each part the bare loop, `/predict` and the plain loop take their
turns, so that a machine that becomes slower in between decides nothing. The bare loop has the same number of
threads, and its tensors lie ready in memory; it runs with batches of ML_BACKEND_BATCH_SIZE and with an image a
thread, and the faster of the two counts. Warm: the same pictures again. Prints a table for each backbone and,
as its last line, one JSON object, which gives the processors' milliseconds an image as well, and the machine's
load: beside other work only the processors' time means something, for who has more threads gets more of the
machine. The exit status is 1 where a bar is missed.
"""

import argparse
import http.client
import json
import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from picture_server import UPLOADS
from PIL import Image
from predict_peers import BACKBONE, Peer, bare_loop, torch_loop

ROOT = Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "scripts"), str(ROOT)]

from servers import Server, free_port  # noqa: E402  # scripts/ is no package

from ml_backend.core.controls import Control  # noqa: E402
from ml_backend.core.identity import Identity  # noqa: E402
from ml_backend.core.model import Evidence, fit_model  # noqa: E402
from ml_backend.core.preparing import EFFICIENTNET_LITE0  # noqa: E402
from ml_backend.embedding.checkpoints import IMAGENET, content_id  # noqa: E402
from ml_backend.embedding.engines import engine_file  # noqa: E402
from ml_backend.model_registry import Artifact, ModelRegistry  # noqa: E402
from ml_backend.settings import Settings  # noqa: E402

OF_BARE, OF_PLAIN, WARM, P99_MS, GROWTH = 0.9, 4.0, 2000.0, 100.0, 0.05
"""The bars: shares of the two peers' speed, tasks a second, milliseconds, and how much memory may grow."""
PLAIN = 50
"""Pictures of a part that the plain loop gets: it is slow, and steady."""
CLIENTS = 8
PROJECT = 1
VERSION = f"{BACKBONE}-benchmark-20260131T120000-0000"
KIND = Control("kind", "image", ("dark", "light"), multiple=False, image_key="image")
CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="kind" toName="image"><Choice value="dark"/><Choice value="light"/></Choices></View>"""
LIMIT_S = 300
BATCH = Settings.model_fields["batch_size"].default


def main() -> int:
    """Run the benchmark; the exit status is 1 where a bar is missed."""
    options = parser().parse_args()
    shown: dict[str, dict[str, object]] = {}
    for backbone in options.backbone or (BACKBONE, EFFICIENTNET_LITE0):
        with ExitStack() as ending:
            stage = Stage.build(ending, options, backbone)
            figures: dict[str, float] = {"load_before": os.getloadavg()[0]}
            figures |= cold(stage, options.part)
            figures |= warm(stage, options.repeat)
            figures |= one_by_one(stage, options.requests)
        shown[backbone] = report(backbone, figures | {"load_after": os.getloadavg()[0]})
    print(json.dumps(shown))
    return 0 if all(figures["reached"] for figures in shown.values()) else 1


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = made.add_argument
    add("--data", type=Path, help="folder with labelme/images; without it pictures are made up")
    add("--images", type=int, default=1000)
    add("--backbone", action="append", choices=[BACKBONE, EFFICIENTNET_LITE0], help="that is served")
    add("--part", type=int, default=200, help="pictures that all take turns at")
    add("--requests", type=int, default=10_000, help="with one task each, from 8 clients")
    add("--repeat", type=int, default=5, help="of all pictures from a warm cache, once for each way of asking")
    add("--workers", type=int, default=Settings.model_fields["workers"].default)
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of ONNX Runtime, in both")
    return made


@dataclass(frozen=True)
class Stage:
    """What runs, and the pictures.

    Parameters
    ----------
    names : list of str
        Of the pictures' files.
    folder : Path
        Where they lie.
    pictures, port : int
        Of the server of pictures, and of the backend.
    server : Server
        The backend.
    """

    names: list[str]
    folder: Path
    pictures: int
    port: int
    server: Server
    bare: Peer
    plain: Peer
    threads: int

    @classmethod
    def build(cls, ending: ExitStack, options: argparse.Namespace, backbone: str) -> "Stage":
        """Start everything and train a model."""
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="predict-")))
        names = lay_out(options.data, options.images, folder / "pictures")
        pictures, port, state = free_port(), free_port(), folder / "state.pth"
        plain = ending.enter_context(Peer(torch_loop, state))
        words = [sys.executable, str(ROOT / "benchmarks" / "picture_server.py"), str(folder / "pictures")]
        web = Server("the server of pictures", [*words, str(pictures)], os.environ, folder / "pictures.log")
        ending.callback(web.stop)
        web.wait_for_answer(f"http://127.0.0.1:{pictures}/", LIMIT_S)
        plain([])  # writes the weights
        settings = {
            "LABEL_STUDIO_URL": f"http://127.0.0.1:{pictures}",
            "LABEL_STUDIO_API_KEY": "key",
            "ML_BACKEND_WEIGHTS": str(state) if backbone == BACKBONE else IMAGENET,
            "ML_BACKEND_BACKBONE": backbone,
            "ML_BACKEND_DATA_DIR": str(folder / "data"),
            "ML_BACKEND_ENGINE": "onnx",
            "ML_BACKEND_TORCH_THREADS": str(options.threads),
            "ML_BACKEND_RECONCILE_S": "0",
        }
        words = [
            sys.executable,
            "-m",
            "ml_backend",
            "serve",
            "--port",
            str(port),
            "--workers",
            str(options.workers),
        ]
        server = Server("the backend", words, clean_environment() | settings, folder / "backend.log")
        ending.callback(server.stop)
        weights_id = content_id(state) if backbone == BACKBONE else IMAGENET
        key = Identity(backbone, weights_id).key
        engine = engine_file(folder / "data", key)
        wait_for_model(server, port)
        bare = ending.enter_context(Peer(bare_loop, engine, options.threads, backbone))
        stage = cls(names, folder / "pictures", pictures, port, server, bare, plain, options.threads)
        train(folder / "data", key, stage)
        return stage

    def task(self, number: int, name: str) -> dict[str, object]:
        """A task as Label Studio sends it."""
        return {"id": number, "data": {"image": UPLOADS + name}, "annotations": [], "predictions": []}

    def body(self, tasks: Sequence[object]) -> bytes:
        """The body of a request."""
        request = {"tasks": tasks, "project": f"{PROJECT}.1795256176", "label_config": CONFIG, "params": {}}
        return json.dumps(request).encode()

    def bodies(self, names: Sequence[str], size: int) -> list[bytes]:
        """Requests for pictures, some at a time."""
        tasks = [self.task(number, name) for number, name in enumerate(names, 1)]
        return [self.body(tasks[start : start + size]) for start in range(0, len(tasks), size)]

    @property
    def processor_s(self) -> float:
        """Seconds that processors have worked for the backend."""
        ticks = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13] for pid in self.pids]
        return sum(int(count) for both in ticks for count in both) / os.sysconf("SC_CLK_TCK")

    @property
    def pids(self) -> list[int]:
        """The backend's processes."""
        return [self.server.pid, *children(self.server.pid)]

    @property
    def memory(self) -> float:
        """Resident megabytes of the backend's processes."""
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Client:
    """A connection that is kept, as Label Studio keeps its own."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)

    def ask(self, body: bytes) -> tuple[float, list[object]]:
        """Ask for predictions; give the seconds and the entries."""
        began = time.perf_counter()
        self._connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        content = answer.read()
        seconds = time.perf_counter() - began
        if answer.status != http.client.OK:
            sys.exit(f"/predict answered {answer.status}: {content[:300]!r}")
        return seconds, json.loads(content)["results"]

    def ask_all(self, body: bytes) -> float:
        """Ask for predictions, of which none may be missing; give the seconds."""
        seconds, entries = self.ask(body)
        if not all(entries):
            sys.exit(f"{entries.count([])} of {len(entries)} tasks got no suggestion")
        return seconds

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def cold(stage: Stage, part: int) -> dict[str, float]:
    """Measure them on pictures that the backend does not know."""
    seconds, images, busy = Counter[str](), Counter[str](), Counter[str]()
    batches = [stage.names[start : start + part] for start in range(0, len(stage.names), part)]

    def bare(names: Sequence[str], batch_size: int = BATCH, way: str = "bare") -> float:
        took, of_processors, _ = stage.bare([stage.folder / name for name in names], batch_size)
        busy[way] += of_processors
        return took

    def bare_by_thread(names: Sequence[str]) -> float:
        return bare(names, stage.threads, "bare_by_thread")

    def served(names: Sequence[str]) -> float:
        before = stage.processor_s
        took = once(stage.port, *stage.bodies(names, part))
        busy["predict"] += stage.processor_s - before
        return took

    def plain(names: Sequence[str]) -> float:
        urls = [f"http://127.0.0.1:{stage.pictures}{UPLOADS}{name}" for name in names]
        took, of_processors = stage.plain(urls)
        busy["plain"] += of_processors
        return float(took)

    ways = {
        "bare": (bare, part),
        "bare_by_thread": (bare_by_thread, part),
        "predict": (served, part),
        "plain": (plain, PLAIN),
    }
    for turn, batch in enumerate(batches):
        first = turn % len(ways)
        for name in (*list(ways)[first:], *list(ways)[:first]):
            measure, most = ways[name]
            names = batch[:most]
            took = measure(names)
            seconds[name] += took
            images[name] += len(names)
            say(f"part {turn + 1} of {len(batches)}, {name}: {len(names) / took:.1f} images/s")
    figures = {f"{name}_images_per_s": images[name] / seconds[name] for name in ways}
    return figures | {f"{name}_processor_ms": 1000 * busy[name] / images[name] for name in busy}


def warm(stage: Stage, repeat: int) -> dict[str, float]:
    """Measure requests for pictures whose embeddings are known: all at once, and fifty at a time."""
    client, figures = Client(stage.port), {}
    for name, size in (("all", len(stage.names)), ("50", 50)):
        bodies = stage.bodies(stage.names, size)
        client.ask_all(bodies[0])
        took = sum(client.ask_all(body) for _ in range(repeat) for body in bodies)
        figures[f"warm_{name}_tasks_per_s"] = repeat * len(stage.names) / took
        say(f"warm, {name} at a time: {figures[f'warm_{name}_tasks_per_s']:.0f} tasks/s")
    client.close()
    return figures


def one_by_one(stage: Stage, requests: int) -> dict[str, float]:
    """Measure requests for one task: how long they take, and what so many of them leave in memory.

    The former are all for known pictures. Of the latter one in ten is for a known picture at a new address, one in
    twenty for one that is missing and one in twenty for a file that is no picture.
    """
    requested = stage.bodies(stage.names, 1)
    say(f"{CLIENTS} clients, one task each")
    cycled = [requested[number % len(requested)] for number in range(min(requests, 2000))]
    times = by_clients(stage.port, cycled, complete=True)
    figures = {f"p{share}_ms": 1000 * float(np.percentile(times, share)) for share in (50, 95, 99)}
    mixed = [stage.body([stage.task(1, mixed_name(stage.names, number))]) for number in range(requests)]
    first = max(requests // 10, 1)
    by_clients(stage.port, mixed[:first])
    before = stage.memory
    by_clients(stage.port, mixed)
    return figures | {"memory_mb": before, "memory_after_mb": stage.memory}


def mixed_name(names: Sequence[str], number: int) -> str:
    """Name the picture of a request, of which few are at an address that was not asked for before."""
    name = names[number % len(names)]
    return {
        0: f"{name}?{number}",
        1: f"missing-{number}.jpg" if number % 20 == 1 else f"broken.jpg?{number}",
    }.get(number % 10, name)


def by_clients(port: int, bodies: Sequence[bytes], *, complete: bool = False) -> list[float]:
    """Ask from several clients at once; give the seconds of each request. ``complete`` takes no empty answer."""
    answers: list[tuple[float, list[object]]] = []

    def work(number: int) -> None:
        client = Client(port)
        answers.extend([client.ask(body) for body in bodies[number::CLIENTS]])
        client.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(answers) != len(bodies):
        sys.exit(f"{len(bodies) - len(answers)} of {len(bodies)} requests were not answered")
    empty = sum(not all(entries) for _, entries in answers)
    if complete and empty:
        sys.exit(f"{empty} of {len(bodies)} requests got no suggestion")
    return [seconds for seconds, _ in answers]


def once(port: int, body: bytes) -> float:
    """Ask for predictions on a connection of its own; give the seconds."""
    client = Client(port)
    seconds = client.ask_all(body)
    client.close()
    return seconds


def lay_out(data: Path | None, count: int, folder: Path) -> list[str]:
    """Put the pictures and a file that is none into a folder; give the pictures' names, in a random order."""
    folder.mkdir()
    (folder / "broken.jpg").write_bytes(b"no picture")
    rng = np.random.default_rng(0)
    if data is None:
        for number in range(count):
            made_up(rng).save(folder / f"{number}.jpg", quality=90)
        return [f"{number}.jpg" for number in range(count)]
    files = sorted((data / "labelme" / "images").glob("*.jpg"))
    if len(files) < count:
        sys.exit(f"{data / 'labelme' / 'images'} holds {len(files)} pictures: give --images {len(files)} or fewer")
    chosen = [files[number] for number in rng.permutation(len(files))[:count]]
    for file in chosen:
        (folder / file.name).symlink_to(file.resolve())
    return [file.name for file in chosen]


def made_up(rng: np.random.Generator) -> Image.Image:
    """Draw a picture of 256 by 256 with large and small structures."""
    large = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(large).resize((256, 256), Image.Resampling.BICUBIC), dtype=np.int16)
    return Image.fromarray((picture + rng.normal(0, 12, picture.shape)).clip(0, 255).astype(np.uint8))


def train(data_dir: Path, key: str, stage: Stage) -> None:
    """Let a model answer: whether a picture is dark or light, learned from the first hundred."""
    files = [stage.folder / name for name in stage.names[:100]]
    _, _, embeddings = stage.bare(files, BATCH)
    brightness = np.array([np.asarray(Image.open(file).convert("L")).mean() for file in files])
    light = (brightness > np.median(brightness)).astype(np.float32)
    evidence = Evidence(KIND, np.arange(len(files)), np.column_stack([1 - light, light]))
    backbone, weights_id = key.split(":")
    artifact = Artifact(
        model_version=VERSION,
        created_at=datetime(2026, 1, 31, tzinfo=UTC).isoformat(),
        backbone=backbone,
        weights_id=weights_id,
        seed=0,
        embedding_key=key,
        label_config="",
        n_images=len(files),
        n_calibrated=0,
        model=fit_model(embeddings, [evidence]),
        calibration={},
    )
    ModelRegistry(data_dir).save(PROJECT, artifact)
    ModelRegistry(data_dir).switch(PROJECT, VERSION)


def wait_for_model(server: Server, port: int) -> None:
    """Wait until the backend can embed."""
    url, ends_at = f"http://127.0.0.1:{port}/health", time.monotonic() + LIMIT_S
    server.wait_for_answer(url, LIMIT_S)
    while time.monotonic() < ends_at:
        with urllib.request.urlopen(url, timeout=5) as page:
            health = json.load(page)
        if health["model_loaded"]:
            return
        time.sleep(0.2)
    sys.exit(f"the backbone was not loaded in {LIMIT_S} s: {health}")


def children(pid: int) -> Iterator[int]:
    """Return the processes that a process has started, and those that they have."""
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, listed.read_text().split()):
            yield child
            yield from children(child)


def clean_environment() -> dict[str, str]:
    """Our environment without settings of a backend."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("LABEL_STUDIO", "ML_BACKEND"))
    }


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Bar:
    """A figure and what it has to be.

    Parameters
    ----------
    above : bool
        Whether the bar must be reached, else not exceeded.
    """

    name: str
    measured: float
    bar: float
    above: bool = True

    @property
    def reached(self) -> bool:
        """Whether it is as it has to be."""
        return self.measured >= self.bar if self.above else self.measured <= self.bar

    @property
    def line(self) -> str:
        """A line of the table."""
        word, met = "at least" if self.above else "at most", "yes" if self.reached else "NO"
        return f"| {self.name} | {self.measured:,.4g} | {word} {self.bar:,.4g} | {met} |"


def bars_of(figures: Mapping[str, float]) -> list[Bar]:
    """Compare the figures with the bars."""
    ours = figures["predict_images_per_s"]
    bare = max(figures["bare_images_per_s"], figures["bare_by_thread_images_per_s"])
    growth = figures["memory_after_mb"] / figures["memory_mb"] - 1
    return [
        Bar("cold: images/s, of the bare loop's", ours / bare, OF_BARE),
        Bar("cold: images/s, times the plain loop's", ours / figures["plain_images_per_s"], OF_PLAIN),
        Bar("warm, all tasks in a request: tasks/s", figures["warm_all_tasks_per_s"], WARM),
        Bar("warm, 50 tasks in a request: tasks/s", figures["warm_50_tasks_per_s"], WARM),
        Bar(f"warm, one task, {CLIENTS} clients: p99 in ms", figures["p99_ms"], P99_MS, above=False),
        Bar("memory: growth after the first requests", growth, GROWTH, above=False),
    ]


def report(backbone: str, figures: Mapping[str, float]) -> dict[str, object]:
    """Print a table, and give what the JSON object holds of a backbone."""
    bars = bars_of(figures)
    print(f"| {backbone} | measured | bar | reached |\n| --- | ---: | ---: | ---: |")
    for bar in bars:
        print(bar.line)
    ways = ("bare", "bare_by_thread", "predict", "plain")
    busy = ", ".join(f"{way} {figures[f'{way}_processor_ms']:.1f}" for way in ways)
    print(
        f"\nms of processors an image: {busy}; load {figures['load_before']:.1f} to {figures['load_after']:.1f}\n"
    )
    shown: dict[str, object] = {name: round(value, 4) for name, value in figures.items()}
    shown["bars"] = {bar.name: [round(bar.measured, 4), bar.reached] for bar in bars}
    return shown | {"reached": all(bar.reached for bar in bars)}


if __name__ == "__main__":
    sys.exit(main())

"""Images into Label Studio: `consensus import` beside Label Studio alone, for the same bytes.

Both on one real Label Studio. Alone, the files go through its own import of uploaded files, which makes a task of
each, in requests of as many files as ours, one after the other; there are no labels then. Times
are those that a person waits, the start of the command included. The rounds alternate; medians are compared.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import PIL.Image
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import label_studio_server  # noqa: E402 - scripts/ is no package
from administrator import Administrator  # noqa: E402

BAR = 1.5
CLASSES = ("cat", "dog", "owl", "cow")
CONFIG = '<View><Image name="image" value="$image"/></View>'
LIMIT_S = 3600


def main() -> int:
    """Run the benchmark; the exit status is 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--side", type=int, default=64, help="pixels (default: 64)")
    parser.add_argument("--batch", type=int, default=32, help="files a request (default: 32)")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="importing-")))
        running = label_studio_server.start(folder / "label-studio")
        ending.callback(running.stop)
        studio = ending.enter_context(Administrator(running.url, running.account.token))
        photos, n_bytes = make_photos(folder / "photos", options.images, options.side)
        environment = os.environ | {
            "LABEL_STUDIO_URL": running.url,
            "LABEL_STUDIO_API_KEY": running.account.token,
            "XDG_DATA_HOME": str(folder / "home"),
        }
        alone_s, ours_s = [], []
        for number in range(options.rounds):
            alone_s.append(alone(studio, photos, number, options.batch))
            ours_s.append(ours(environment, folder, number, options.batch))
        again_s = ours(environment, folder, 0, options.batch)
    return report(options, n_bytes, statistics.median(alone_s), statistics.median(ours_s), again_s)


def make_photos(folder: Path, n_images: int, side: int) -> tuple[list[Path], int]:
    """Make class-named folders of JPEG files of noise."""
    paths = []
    for number in range(n_images):
        path = folder / CLASSES[number % len(CLASSES)] / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.Random(number).randbytes(side * side * 3)  # noqa: S311 - noise
        PIL.Image.frombytes("RGB", (side, side), pixels).save(path, quality=80)
        paths.append(path)
    return paths, sum(path.stat().st_size for path in paths)


def alone(studio: Administrator, photos: list[Path], number: int, batch: int) -> float:
    """Seconds that Label Studio alone needs for the files."""
    project = studio.create_project(CONFIG, f"Alone {number}")
    began = time.perf_counter()
    for start in range(0, len(photos), batch):
        files = {
            str(place): (path.name, path.read_bytes()) for place, path in enumerate(photos[start : start + batch])
        }
        studio.ask("POST", f"/api/projects/{project}/import", files=files, timeout_s=LIMIT_S)
    seconds = time.perf_counter() - began
    if studio.task_number(project) != len(photos):
        raise SystemExit("Label Studio made another number of tasks than there are files")
    return seconds


def ours(environment: dict[str, str], folder: Path, number: int, batch: int) -> float:
    """Seconds that the command takes, its start included."""
    words = ["import", str(folder / "photos"), "--project", f"Imported {number}", "--batch", str(batch), "--json"]
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "consensus.cli", *words],
        env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=LIMIT_S,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if json.loads(done.stdout)["left_out"]:
        raise SystemExit("images were left out")
    return seconds


def report(options: argparse.Namespace, n_bytes: int, alone_s: float, ours_s: float, again_s: float) -> int:
    """Print the table, the bar and the figures."""
    table = Table("way", "images", "MB", "seconds", "a second")
    rows = (("Label Studio alone", alone_s), ("consensus import", ours_s), ("consensus import, again", again_s))
    for way, seconds in rows:
        table.add_row(
            way, str(options.images), f"{n_bytes / 1e6:.1f}", f"{seconds:.1f}", f"{options.images / seconds:.0f}"
        )
    console, ratio = Console(), ours_s / alone_s
    console.print(table)
    console.print(
        f"{ratio:.2f} times as long as Label Studio alone (at most {BAR}): {'yes' if ratio <= BAR else 'NO'}"
    )
    figures = {
        "images": options.images, "bytes": n_bytes, "batch": options.batch, "alone_s": round(alone_s, 2),
        "import_s": round(ours_s, 2), "again_s": round(again_s, 2), "ratio": round(ratio, 3),
    }  # fmt: skip
    print(json.dumps(figures))
    return int(ratio > BAR)


if __name__ == "__main__":
    sys.exit(main())

"""Suggestions accepted and taken back in bulk, beside Label Studio's own "Create Annotations From Predictions".

Both on one real Label Studio with SQLite; ours looks at the tasks, marks what it writes and can be taken back, the
peer does not. The seconds that each kind of request took are printed beside it. The machine account
is there before.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from consensus.assist.accounts import machine_account
from consensus.assist.batches import perform, plan
from consensus.assist.undo import undo
from consensus.label_studio import Studio
from consensus.store.store import Store

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import label_studio_server  # noqa: E402 - scripts/ is no package
from administrator import Administrator  # noqa: E402

CONFIG = """<View><Image name="image" value="$image"/><Choices name="kind" toName="image">
<Choice value="cat"/><Choice value="dog"/></Choices></View>"""
OWNER = "admin@example.com"
VERSION = "m1"
Requests = dict[str, tuple[int, float]]


class Timed(httpx.HTTPTransport):
    """The network, and the seconds that requests took, by what they ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.number: Counter[str] = Counter()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it, and read its answer."""
        action = request.url.params.get("id", "")
        name = f"{request.method} {re.sub(r'[0-9]+', 'N', request.url.path.strip('/'))} {action}".strip()
        began = time.perf_counter()
        answer = super().handle_request(request)
        answer.read()
        self.seconds[name] += time.perf_counter() - began
        self.number[name] += 1
        return answer

    def clear(self) -> Requests:
        """Forget them; return number and seconds of each kind, the longest first."""
        longest = sorted(self.seconds, key=self.seconds.__getitem__, reverse=True)
        taken = {name: (self.number[name], round(self.seconds[name], 2)) for name in longest}
        self.seconds.clear()
        self.number.clear()
        return taken

    def close(self) -> None:
        """Stay open: the machine account's session shares it."""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=600)
    parser.add_argument("--overlap", type=int, default=1)
    options = parser.parse_args()
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="accepting-")))
        running = label_studio_server.start(folder / "label-studio")
        ending.callback(running.stop)
        network = Timed()
        client = ending.enter_context(Administrator(running.url, running.account.token, network))
        peer, project = (suggested(client, options.tasks, options.overlap) for _ in range(2))
        peer_s = seconds(lambda: client.act(peer, "predictions_to_annotations", model_version=VERSION))
        studio, store = Studio(client, "a secret"), Store.migrated(f"sqlite:///{folder}/store.db")
        machine_account(studio)
        rows = [
            {"task": task, "control": "kind", "labels": ["cat"], "evidence": {"score": 0.9}}
            for task in client.task_ids(project)
        ]
        batch = plan(store, project, "accept", rows, made_by=OWNER, now=now())
        requests: dict[str, Requests] = {}
        network.clear()
        accept_s = seconds(lambda: perform(studio, store, batch, now))
        requests["accept"] = network.clear()
        undo_s = seconds(lambda: undo(studio, store, batch["id"], OWNER, now))
        requests["undo"] = network.clear()
        counts = store.decisions.item_counts(batch["id"])
    if counts != {"undone": options.tasks}:
        raise SystemExit(f"not all were accepted and taken back: {counts}")
    report(options, {"peer_s": peer_s, "accept_s": accept_s, "undo_s": undo_s}, requests)


def suggested(client: Administrator, n_tasks: int, overlap: int) -> int:
    """Make a project of tasks with a suggestion each."""
    project = client.create_project(CONFIG, "Accepting", maximum_annotations=overlap)
    region = {"from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": ["cat"]}}
    suggestion = {"model_version": VERSION, "score": 0.9, "result": [region]}
    urls = [f"https://example.com/{number}.png" for number in range(n_tasks)]
    client.import_tasks(project, [{"data": {"image": url}, "predictions": [suggestion]} for url in urls])
    client.show_version(project, VERSION)
    return project


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def seconds(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def report(options: argparse.Namespace, taken: dict[str, float], requests: dict[str, Requests]) -> None:
    """Print the tables and the figures."""
    console, table = Console(width=115), Table("way", "tasks", "seconds", "a second")
    ways = {"peer_s": "Label Studio: Create Annotations From Predictions", "accept_s": "accept", "undo_s": "undo"}
    for name, way in ways.items():
        table.add_row(way, str(options.tasks), f"{taken[name]:.1f}", f"{options.tasks / taken[name]:.0f}")
    console.print(table)
    for way, rows in requests.items():
        shown = Table(f"{way}: request", "number", "seconds")
        for name, (number, length) in rows.items():
            shown.add_row(name, str(number), f"{length:.2f}")
        console.print(shown)
    figures = {name: round(length, 2) for name, length in taken.items()}
    print(json.dumps({"tasks": options.tasks, "overlap": options.overlap, **figures, "requests": requests}))


if __name__ == "__main__":
    main()

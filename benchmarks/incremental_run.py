"""`consensus run` on a large project of which little has changed: seconds, and tasks asked of Label Studio.

    python benchmarks/incremental_run.py
    python benchmarks/incremental_run.py --tasks 10000 --changed 10

Label Studio is simulated: a program that answers the requests of a run over HTTP from memory, without a database.
A real one takes about 3 ms more for each task that it is asked for. Each run is the whole command; the peer is the
same command without its cache, which reads all tasks. Prints a table and, as its last line, one JSON object; exits
with status 1 where the incremental run takes 10 seconds or more, asks for tasks that have not changed, or finds
something else than the peer.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

BAR_S = 10.0
LABELS = ("cat", "dog", "owl", "lynx")
CONFIG = (
    '<View><Image name="image" value="$image"/><Choices name="kind" toName="image">'
    + "".join(f'<Choice value="{label}"/>' for label in LABELS)
    + "</Choices></View>"
)
ANNOTATORS, ACCURACY = 20, 0.8
Json = dict[str, Any]


class SimulatedLabelStudio:
    """A project with votes, and the requests of a run.

    Parameters
    ----------
    n_tasks, n_votes : int
        Votes are of each task.
    """

    def __init__(self, n_tasks: int, n_votes: int) -> None:
        self._random = np.random.default_rng(0)
        self._moment = datetime.now(UTC) - timedelta(days=2)
        self._annotation_id = 0
        self._tasks_of: list[int] = []  # of the predictions that were made, in the order of their ids
        self.tasks_sent = 0
        self.views: list[Json] = []
        truths = self._random.integers(0, len(LABELS), n_tasks)
        self.tasks = {
            number: self._task(number, int(truths[number - 1]), n_votes) for number in range(1, n_tasks + 1)
        }

    def _task(self, number: int, truth: int, n_votes: int) -> Json:
        who = self._random.choice(ANNOTATORS, n_votes, replace=False)
        labels = np.where(
            self._random.random(n_votes) < ACCURACY, truth, self._random.integers(0, len(LABELS), n_votes)
        )
        return {
            "id": number,
            "data": {"image": f"https://images.example.com/{number:08d}.jpg", "kind": LABELS[truth]},
            "updated_at": self._time(),
            "predictions": [],
            "annotations": [
                self._annotation(int(account) + 1, LABELS[label])
                for account, label in zip(who, labels, strict=True)
            ],
        }

    def _annotation(self, account: int, label: str) -> Json:
        self._annotation_id += 1
        region = {"id": f"r{self._annotation_id}", "from_name": "kind", "to_name": "image", "type": "choices"}
        return {
            "id": self._annotation_id,
            "completed_by": account,
            "was_cancelled": False,
            "ground_truth": False,
            "created_at": self._time(),
            "updated_at": self._time(),
            "lead_time": 4.5,
            "parent_prediction": None,
            "result": [{**region, "value": {"choices": [label]}}],
        }

    def _time(self) -> str:
        return self._moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def change(self, n: int) -> Json:
        """Let annotators change their minds on some tasks, now."""
        self._moment = datetime.now(UTC)
        for number in self._random.choice(len(self.tasks), n, replace=False).tolist():
            task = self.tasks[number + 1]
            [region] = task["annotations"][0]["result"]
            other = LABELS[(LABELS.index(region["value"]["choices"][0]) + 1) % len(LABELS)]
            task["annotations"][0] |= {
                "updated_at": self._time(),
                "result": [{**region, "value": {"choices": [other]}}],
            }
            task["updated_at"] = self._time()
        return {}

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:  # noqa: ANN401 - any JSON
        """Answer a request."""
        last = path.rstrip("/").rsplit("/", 1)[-1]
        answers = {
            "/changed/": lambda: self.change(int(last)),
            "/sent/": self._sent,
            "/api/projects/1/model-versions": lambda: self._versions(method, body),
            "/api/projects/1/import": lambda: self._predictions(method, last, body),
            "/api/predictions": lambda: self._predictions(method, last, body),
            "/api/tasks": lambda: self._page(query),
            "/api/dm/views": lambda: self._tabs(method, body),
            "/api/users": lambda: [{"id": n, "email": f"a{n}@example.com"} for n in range(1, ANNOTATORS + 1)],
            "/api/projects/1": self._project,
        }
        return next(answer for start, answer in answers.items() if path.startswith(start))()

    def _sent(self) -> int:
        sent, self.tasks_sent = self.tasks_sent, 0
        return sent

    def _tabs(self, method: str, body: Json) -> list[Json]:
        self.views += [body] if method == "POST" else []
        return self.views

    def _project(self) -> Json:
        return {
            "id": 1,
            "title": "Many",
            "label_config": CONFIG,
            "created_at": "2026-01-01T00:00:00Z",
            "model_version": "",
            "task_number": len(self.tasks),
            "total_annotations_number": sum(len(task["annotations"]) for task in self.tasks.values()),
            "skipped_annotations_number": 0,
        }

    def _page(self, query: dict[str, str]) -> Json:
        asked = json.loads(query.get("query", "{}"))
        tasks = list(self.tasks.values())
        if "selectedItems" in asked:
            tasks = [self.tasks[number] for number in asked["selectedItems"]["included"]]
        for item in asked.get("filters", {}).get("items", ()):
            tasks = [task for task in tasks if task["updated_at"] > item["value"]]
        page, size = int(query["page"]), int(query["page_size"])
        listed = tasks[(page - 1) * size : page * size]
        self.tasks_sent += len(listed)
        nested = "predictions" in query["include"]
        return {
            "tasks": listed if nested else [task | {"predictions": []} for task in listed],
            "total": len(tasks),
        }

    def _versions(self, method: str, body: Json | None) -> Json:
        rows = [row for task in self.tasks.values() for row in task["predictions"]]
        if method == "DELETE" and body:
            for task in self.tasks.values():
                task["predictions"] = [
                    row for row in task["predictions"] if row["model_version"] != body["model_version"]
                ]
        counts: dict[str, Json] = {}
        for row in rows:
            version = counts.setdefault(row["model_version"], {"model_version": row["model_version"], "count": 0})
            version |= {"count": version["count"] + 1, "latest": max(version.get("latest", ""), row["created_at"])}
        return {"static": list(counts.values())}

    def _predictions(self, method: str, last: str, body: Any) -> Any:  # noqa: ANN401 - any JSON
        self._moment = datetime.now(UTC)
        if method == "GET":
            return [row for task in self.tasks.values() for row in task["predictions"]]
        if method == "POST":
            for row in body:
                self._tasks_of.append(row["task"])
                made = row | {"id": len(self._tasks_of), "created_at": self._time()}
                self.tasks[row["task"]]["predictions"].append(made)
            return {"created": len(body)}
        number = int(last)
        task = self.tasks[self._tasks_of[number - 1]]
        if method == "DELETE":
            task["predictions"] = [row for row in task["predictions"] if row["id"] != number]
        else:
            next(row for row in task["predictions"] if row["id"] == number).update(body)
            task["updated_at"] = self._time()
        return {}

    def serve(self) -> None:
        """Answer until stopped; print the address first."""
        simulated = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: the second would wait 40 ms for the first's receipt

            def _answer(self) -> None:
                address = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(address.query).items()}
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                content = json.dumps(simulated.answer(self.command, address.path, query, body)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            print(f"http://127.0.0.1:{server.server_port}", flush=True)
            server.serve_forever()


def main() -> int:
    """Run, print, and return the exit status."""
    options = _parser().parse_args()
    if options.serve:
        SimulatedLabelStudio(options.tasks, options.votes).serve()
        return 0
    command = [sys.executable, __file__, "--serve", "--tasks", str(options.tasks), "--votes", str(options.votes)]
    with (
        tempfile.TemporaryDirectory(prefix="incremental-") as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,  # noqa: S603 - ourselves
    ):
        try:
            url = str(server.stdout and server.stdout.readline().strip())
            measured = _measured(url, Path(folder), options.changed)
        finally:
            server.terminate()
    print(
        f"{options.tasks:,} tasks with {options.votes} votes each; {options.changed} changed before the third run"
    )
    print(f"{'run':34s}{'seconds':>10s}{'of processor':>14s}{'tasks asked for':>17s}{'written':>9s}")
    for name, run in measured.items():
        print(f"{name:34s}{run['seconds']:10.1f}{run['processor']:14.1f}{run['asked']:17,d}{run['written']:9,d}")
    incremental, peer = measured["incremental"], measured["all read (peer)"]
    asked = incremental["asked"] - incremental["written"]
    reached = (
        incremental["seconds"] < BAR_S and asked <= options.changed and incremental["reports"] == peer["reports"]
    )
    print(json.dumps({"benchmark": "incremental_run", "tasks": options.tasks, "reached": reached, **measured}))
    return 0 if reached else 1


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tasks", type=int, default=100_000)
    options.add_argument("--votes", type=int, default=3, help="of each task")
    options.add_argument("--changed", type=int, default=100)
    options.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return options


def _measured(url: str, folder: Path, n_changed: int) -> dict[str, dict[str, Any]]:
    cache, none = folder / "cache", Path(os.devnull) / "cache"
    first, settled = _run(url, folder, cache), _run(url, folder, cache)
    _ask(f"{url}/changed/{n_changed}")
    incremental = _run(url, folder, cache)
    return {
        "first": first,
        "nothing changed": settled,
        "incremental": incremental,
        "all read (peer)": _run(url, folder, none),
    }


def _run(url: str, folder: Path, cache: Path) -> dict[str, Any]:
    """Run the command; return its seconds and what Label Studio was asked for meanwhile."""
    settings = {
        "LABEL_STUDIO_URL": url,
        "LABEL_STUDIO_API_KEY": "token",
        "CONSENSUS_DATABASE_URL": f"sqlite:///{folder}/store.db",
        "CONSENSUS_CACHE_DIR": str(cache),
    }
    began, processor = time.perf_counter(), _processor_seconds()
    command = [sys.executable, "-m", "consensus.cli", "run", "--project", "1", "--json"]
    ran = subprocess.run(  # noqa: S603 - ourselves
        command, env=os.environ | settings, cwd=folder, capture_output=True, text=True, check=False
    )
    seconds, processor = time.perf_counter() - began, _processor_seconds() - processor
    if ran.returncode:
        raise SystemExit(ran.stderr)
    outcome = json.loads(ran.stdout)
    written = outcome["writes"]["created"] + outcome["writes"]["updated"] + outcome["writes"]["deleted"]
    return {
        "seconds": round(seconds, 2),
        "processor": round(processor, 2),
        "asked": _ask(f"{url}/sent/"),
        "written": written,
        "reports": outcome["reports"],
    }


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _ask(url: str) -> Any:  # noqa: ANN401 - any JSON
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - our own address
        return json.load(answer)


if __name__ == "__main__":
    sys.exit(main())

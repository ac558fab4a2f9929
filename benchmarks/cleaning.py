"""A dataset cleaned on a real Label Studio: import, votes, review, suggestions, accept, export, beside the truth.

    python benchmarks/cleaning.py --data DIR

The photographs and votes of LabelMe, with given labels of which 15 % are wrong (simulated, `given.csv`). They are
imported out of class-named folders, one a given label. The crowd votes on some of them, drawn at random, with
accounts of its own. A simulated reviewer, who knows the truth, works off the queues `misclassified` and
`controversial`. Then the ML backend learns, and suggests labels for what nobody has voted on.

The reviewer judges a random sample of these, by which `consensus accept` finds from which scores on they are
as precise as asked for. What the model finds least likely to be labelled rightly is reviewed: the queue `unvoted`,
then the others in that order. Of what is left suggestions above those scores are accepted, and export writes the
folders anew.

Bars: at least 140 of the 150 wrong labels mended within 300 reviews, at most 8 right ones broken, and accepted
suggestions at least as often right as asked for. Prints a table and, as its last line, one JSON object. The exit
status is 1 where a bar is missed.
"""

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import label_studio_server  # noqa: E402 - scripts/ is no package
from administrator import Administrator  # noqa: E402

from common.contract import VERSION_PREFIX  # noqa: E402
from common.label_studio.client import LabelStudioClient  # noqa: E402
from common.label_studio.session import Session  # noqa: E402
from consensus.assist.suggestions import read_suggestions  # noqa: E402
from consensus.core.review.rulings import Ruling  # noqa: E402
from consensus.label_studio import Studio  # noqa: E402
from consensus.review.decisions import decide  # noqa: E402
from consensus.settings import ProjectConfig  # noqa: E402
from consensus.store.store import Store  # noqa: E402

MENDED, BROKEN = 140, 8
TITLE, CONTROL = "LabelMe", "label"
REVIEWER = "reviewer@example.com"
QUEUES = ("misclassified", "controversial")
AT_ONCE = 20
"""Decisions that are written together."""
LIMIT_S = 3000


class Truth:
    """The photographs, and what they show, by their names."""

    def __init__(self, folder: Path) -> None:
        self.images = folder / "images"
        self.given, self.label = (_labels(folder / name) for name in ("given.csv", "truth.csv"))
        with (folder / "votes.csv").open(encoding="utf-8") as file:
            self.votes = list(csv.DictReader(file))

    @property
    def wrong(self) -> set[str]:
        """Photographs with a wrong given label."""
        return {name for name, label in self.given.items() if self.label[name] != label}

    def lay_out(self, folder: Path) -> None:
        """Put the photographs into folders of their given labels."""
        for name, label in self.given.items():
            path = folder / label / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.images / path.name, path)


class Bench:
    """A project on a Label Studio, and those who work on it."""

    def __init__(self, studio: Administrator, token: str, folder: Path, truth: Truth) -> None:
        self.admin, self.folder, self.truth = studio, folder, truth
        ours = ("CONSENSUS_", "ML_BACKEND_", "LABEL_STUDIO_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
            "LABEL_STUDIO_URL": studio.url,
            "LABEL_STUDIO_API_KEY": token,
            "CONSENSUS_DATABASE_URL": f"sqlite:///{folder}/store.db",
            "XDG_DATA_HOME": str(folder / "home"),
            "XDG_CACHE_HOME": str(folder / "home"),
            "ML_BACKEND_DATA_DIR": str(folder / "backend"),
        }
        self.studio = Studio(LabelStudioClient(Session(studio.url, token)), token, cache=folder / "cache")
        self.reviewed: list[int] = []
        self.seconds: dict[str, float] = {}

    def call(self, step: str, *words: object) -> str:
        """Run a command of ours, and return what it prints."""
        program, *rest = map(str, words)
        module = {"consensus": "consensus.cli", "ml-backend": "ml_backend"}[program]
        began = time.perf_counter()
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", module, *rest],
            env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=LIMIT_S,
        )  # fmt: skip
        self.seconds[step] = round(self.seconds.get(step, 0) + time.perf_counter() - began, 1)
        if done.returncode not in (0, 3):
            raise SystemExit(f"{program} {' '.join(rest)}: {done.stdout}{done.stderr}")
        return done.stdout

    def import_folders(self) -> None:
        """Import the photographs with `consensus import`."""
        self.truth.lay_out(self.folder / "photos")
        self.call("import", "consensus", "import", "photos", "--project", TITLE)
        self.project = next(
            number for number in self.admin.project_ids() if self.admin.project(number).title == TITLE
        )
        tasks = self.admin.tasks(self.project, "id,data", fields="task_only")
        self.name_of = {task["id"]: Path(task["data"]["source"]).stem for task in tasks}
        self.task_of = {name: task for task, name in self.name_of.items()}
        self.store = Store.migrated(self.environment["CONSENSUS_DATABASE_URL"])

    def vote(self, names: set[str]) -> int:
        """Let the crowd vote on photographs, each with an account of its own; return how many votes that is."""
        votes = [vote for vote in self.truth.votes if vote["task"] in names]
        addresses = {who: f"{who}@example.com" for who in sorted({vote["annotator"] for vote in votes})}
        began = time.perf_counter()
        self.admin.sign_up([*addresses.values(), REVIEWER])
        accounts = {address: number for number, address in self.admin.accounts().items()}

        def annotate(vote: dict[str, str]) -> None:
            account = accounts[addresses[vote["annotator"]]]
            self.admin.annotate(self.task_of[vote["task"]], _region(vote["label"]), completed_by=account)

        with ThreadPoolExecutor(2) as several:
            list(several.map(annotate, votes))
        self.seconds["votes"] = round(time.perf_counter() - began, 1)
        return len(votes)

    def run(self) -> None:
        """Compute the reports with `consensus run`."""
        self.call("run", "consensus", "run", "--project", self.project)

    def waiting(self, queues: Sequence[str]) -> Iterator[int]:
        """Yield tasks of queues in their order."""
        for queue in queues:
            yield from (row["task"] for row in self.store.decisions.queue(self.project, queue))  # type: ignore[arg-type]

    def review(self, tasks: Iterable[int], most: int) -> None:
        """Let the reviewer say of tasks what they show, in their order, each once."""
        unseen = (task for task in dict.fromkeys(tasks) if task not in set(self.reviewed))
        began = time.perf_counter()
        while chunk := list(islice(unseen, min(AT_ONCE, most - len(self.reviewed)))):
            self._decide(chunk)
            self.reviewed += chunk
        self.seconds["review"] = round(self.seconds.get("review", 0) + time.perf_counter() - began, 1)

    def _decide(self, tasks: Sequence[int]) -> None:
        decided = decide(
            self.studio,
            self.store,
            ProjectConfig(),
            self.project,
            [self._ruling(task) for task in tasks],
            reviewer=REVIEWER,
            now=lambda: datetime.now(UTC),
        )
        if decided.refused:
            raise SystemExit(f"refused: {decided.refused[0]}")

    def _ruling(self, task: int) -> Ruling:
        name = self.name_of[task]
        label = self.truth.label[name]
        if label == self.truth.given[name]:
            return Ruling(task, CONTROL, "keep")
        return Ruling(task, CONTROL, "correct", (label,))

    def learn(self) -> str:
        """Let the ML backend learn and suggest; return the version that answers."""
        self.call("train", "ml-backend", "train", "--project", self.project)
        self.call("predict", "ml-backend", "predict", "--force", "--project", self.project)
        counts = self.studio.client.version_counts(self.project)
        version = max(
            (latest, name) for name, (_, latest) in counts.items() if not name.startswith(VERSION_PREFIX)
        )[1]
        self.studio.show(self.project, version)
        return version

    def least_likely(self, version: str) -> list[int]:
        """Tasks without votes or decision, in the order of the model's probability of the given label."""
        suggested = read_suggestions(
            self.studio, self.store, ProjectConfig(), self.project, datetime.now(UTC), version=version
        )
        likely = {}
        for each in suggested.suggestions:
            given = self.truth.given[self.name_of[each.task]]
            left_over = each.score if given in each.labels else 1 - each.score
            if each.is_open:
                by_image = each.scores.get(given, left_over)
                likely[each.task] = each.given.probability if each.given else by_image
        return sorted(likely, key=lambda task: (likely[task], task))

    def offered(self, version: str, precision: float) -> list[dict[str, Any]]:
        """Ask `consensus accept` from which score on suggestions of each label are as precise; accept nothing."""
        words = ("--suggestions", "--version", version, "--target-precision", precision, "--dry-run", "--json")
        offer = json.loads(self.call("accept", "consensus", "accept", "--project", self.project, *words))
        return [group for group in offer["labels"] if group["accepted"]]

    def accept(self, version: str, groups: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
        """Accept suggestions from these scores on; return photographs and labels."""
        for group in groups:
            score = group["above"] - 1e-9
            words = ("--suggestions", "--version", version, "--label", group["labels"][0], "--above", score)
            self.call("accept", "consensus", "accept", "--project", self.project, *words, "--yes", "--json")
        return [
            (self.name_of[row["task"]], row["label"])
            for row in self.store.decisions.standing(self.project)
            if row["source"] == "suggestion"
        ]

    def export(self) -> dict[str, str]:
        """Export folders with `consensus export`; return the label of each photograph that is there."""
        words = ("--layout", "folders", "--images", "photos", "--link", "hard", "cleaned")
        self.call("export", "consensus", "export", "--project", self.project, *words)
        return {path.stem: path.parent.name for path in (self.folder / "cleaned").glob("*/*.jpg")}


def _labels(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8") as file:
        return {row["task"]: row["label"] for row in csv.DictReader(file)}


def _region(label: str) -> dict[str, Any]:
    return {"from_name": CONTROL, "to_name": "image", "type": "choices", "value": {"choices": [label]}}


def main() -> int:
    """Run the benchmark; the exit status is 1 where a bar is missed."""
    options = _parser().parse_args()
    truth = Truth(options.data / "labelme")
    names = sorted(truth.given)
    random.Random(options.seed).shuffle(names)  # noqa: S311 - which photographs come first is no secret
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="cleaning-")))
        running = label_studio_server.start(folder / "label-studio")
        ending.callback(running.stop)
        admin = ending.enter_context(Administrator(running.url, running.account.token))
        bench = Bench(admin, running.account.token, folder, truth)
        ending.callback(bench.studio.close)
        bench.import_folders()
        n_votes = bench.vote(set(names[: options.voted]))
        bench.run()
        bench.review(bench.waiting(QUEUES), options.reviews)
        accepted: list[tuple[str, str]] = []
        if not options.no_suggestions:
            bench.run()  # what was decided is learned from
            version = bench.learn()
            sample = [bench.task_of[name] for name in names[options.voted : options.voted + options.sample]]
            bench.review(sample, options.reviews)
            bench.run()
            groups = bench.offered(version, options.target_precision)
            bench.review([*bench.waiting(["unvoted"]), *bench.least_likely(version)], options.reviews)
            accepted = bench.accept(version, groups)
        bench.run()
        return report(options, bench, n_votes, accepted, bench.export())


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True, help="folder of the sets: see benchmarks/README.md")
    options.add_argument("--voted", type=int, default=200, help="photographs that the crowd votes on")
    options.add_argument("--reviews", type=int, default=300, help="decisions of the reviewer, at most")
    options.add_argument("--sample", type=int, default=80, help="suggestions that are judged, drawn at random")
    options.add_argument("--target-precision", type=float, default=0.9)
    options.add_argument("--no-suggestions", action="store_true", help="votes and reviews alone; no ML backend")
    options.add_argument("--seed", type=int, default=0)
    return options


def report(
    options: argparse.Namespace,
    bench: Bench,
    n_votes: int,
    accepted: Sequence[tuple[str, str]],
    after: dict[str, str],
) -> int:
    """Print the table, the bars and the figures."""
    truth, wrong = bench.truth, bench.truth.wrong
    mended = sum(after.get(name) == truth.label[name] for name in wrong)
    broken = sum(label != truth.label[name] for name, label in after.items() if name not in wrong)
    right = sum(label == truth.label[name] for name, label in accepted)
    seen = [bench.name_of[task] in wrong for task in bench.reviewed]
    n_images = len(truth.given)
    table = Table("way", "decisions of the reviewer", "wrong labels mended", "right ones broken")
    by_hand = len(wrong) * len(seen) / n_images
    rows = [
        ("all by hand", n_images, len(wrong), 0),
        ("as many by hand, in any order", len(seen), f"{by_hand:.0f} (expected)", 0),
        ("consensus", len(seen), mended, broken),
    ]
    for row in rows:
        table.add_row(*map(str, row))
    console = Console()
    console.print(table)
    console.print(
        f"{len(wrong)} of {n_images} given labels are wrong; {n_votes} votes on {options.voted} images. The "
        f"reviewer is simulated and knows the truth. Of {len(accepted)} accepted suggestions {right} are right "
        f"(asked for: {options.target_precision:g}). {n_images - len(after)} images are left out of the export."
    )
    precise = not accepted or right / len(accepted) >= options.target_precision
    met = mended >= MENDED and broken <= BROKEN and precise
    console.print(
        f"{'met   ' if met else 'MISSED'} at least {MENDED} mended, at most {BROKEN} broken, "
        "accepted suggestions as precise as asked for"
    )
    figures = {
        "benchmark": "cleaning", "images": n_images, "wrong": len(wrong), "voted": options.voted, "votes": n_votes,
        "reviews": len(seen), "wrong_seen": sum(seen), "mended": mended, "broken": broken,
        "left_out": n_images - len(after), "accepted": len(accepted), "accepted_right": right,
        "target_precision": options.target_precision, "suggestions": not options.no_suggestions,
        "met": met, "seconds": bench.seconds,
    }  # fmt: skip
    print(json.dumps(figures))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())

"""The pages that benchmarks/console.py asks for, before a Label Studio that answers at once."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import numpy as np
from console_store import CONTROL, DECISIONS, EACH, EMAIL, PROJECT, annotator, batch_name
from flask.testing import FlaskClient
from store import LABELS

from common.label_studio.label_config import read_label_config
from consensus.assist.suggestions import Suggested, Suggestion, Truths
from consensus.console.app import create_console
from consensus.console.computed import Computed
from consensus.console.desk import Console
from consensus.console.rows import PLACE
from consensus.core.votes.classifications import Gold, Listed, Suggestions
from consensus.core.votes.collected import Collected, Submissions
from consensus.core.votes.controls import Control
from consensus.core.votes.votes import Votes
from consensus.label_studio import Project
from consensus.projects.project_votes import ProjectVotes
from consensus.serving.reading import QUEUE_PLACE, question
from consensus.serving.service import Service
from consensus.serving.suggested import SuggestedMemory
from consensus.settings import ProjectConfig
from consensus.store.columns import Columns
from consensus.store.pages import VOTE_PLACE
from consensus.store.store import Store

HOME, ME = f"/projects/{PROJECT}", annotator(7)
PERSON = f"{HOME}/people/person?annotator={quote(ME)}"
PERIOD = "from=2026-01-01&to=2026-02-01"
MANY = tuple(f"label {number:03}" for number in range(400))
VERSIONS = {"m1": LABELS, "m400": MANY}
"""Model versions, and the labels that they suggest."""
JUDGED, GOLD = 20_000, 1_000
ENDED_S = 1_800.0

Addresses = dict[str, Callable[[], str]]
"""What makes the address of each page."""


class Never(Computed):
    """What is worked out behind the pages, and never done."""

    def _do(self, *_: object) -> None:
        """Do nothing."""


class Pages:
    """The console, with an admin and an annotator before it.

    Parameters
    ----------
    columns : dict of str to (n,) array
        The classifications that its pages show.
    folder : Path
        Of small pictures and settings.
    images : str
        Address of the server that has the images.
    """

    def __init__(self, url: str, columns: Columns, folder: Path, images: str = "http://127.0.0.1") -> None:
        store = Store(url)
        rules = folder / "pay.toml"
        rules.write_text('unit = "cent"\nper_vote = 2\n', encoding="utf-8")
        memory = SuggestedMemory(lambda: 0.0)
        for version, labels in VERSIONS.items():
            memory.keep(PROJECT, version, suggested(version, labels, max(len(columns["task"]) // 10, 400)))
        memory.keep(PROJECT, None, memory.fresh(PROJECT, "m1"))  # type: ignore[arg-type]
        self._service = Service(
            "a-token-of-this-benchmark",
            lambda: store,
            lambda: nullcontext(StandIn(images)),
            lambda _: {},
            lambda _: ProjectConfig(pay=rules),
            suggested=memory,
        )
        self._columns, self._random = columns, np.random.default_rng(1)
        self._queue = store.decisions.queue(PROJECT, "misclassified")
        self._console = Console(self._service, folder, secret=EMAIL)
        self._admin = self._before(self._console, EMAIL)
        early = self._before(Console(self._service, folder, secret=EMAIL, computed=Never()), EMAIL)
        clients = {
            self._admin: self._of_reports() | self._of_assist() | self._of_people() | self._of_history(),
            early: {
                "people, being computed": lambda: f"{HOME}/people",
                "person, being computed": lambda: PERSON,
                "pay, being computed": lambda: f"{HOME}/pay?{PERIOD}",
            },
            self._before(self._console, ME): {
                "my work": lambda: f"{HOME}/me",
                "my votes": lambda: f"{HOME}/me/votes",
                "my pay": lambda: f"{HOME}/my-pay",
            },
        }
        self.addresses = {name: (client, made) for client, of in clients.items() for name, made in of.items()}

    def _of_reports(self) -> Addresses:
        wrong, right = f"{HOME}/reports/MisClassified", f"{HOME}/reports/AllConfirmed"
        grid, queue = f"{HOME}/grid", f"{HOME}/review/misclassified"
        return {
            "projects": lambda: "/",
            "overview": lambda: f"{HOME}/",
            "health": lambda: f"{HOME}/health",
            "report": lambda: wrong,
            "report, later": lambda: self._later(wrong, "MisClassified"),
            "report of a label": lambda: f"{wrong}?label={self._label()}",
            "report of a label, later": lambda: self._later(f"{wrong}?label={self._label()}", "MisClassified"),
            "report above a confidence": lambda: f"{wrong}?confidence=0.78",
            "report by confidence, later": lambda: self._later(right, "AllConfirmed"),
            "report as CSV": lambda: f"{wrong}.csv",
            "grid": lambda: f"{grid}?of=MisClassified&label={self._label()}",
            "grid, later": lambda: self._later(f"{grid}?of=AllConfirmed&label={self._label()}", "AllConfirmed"),
            "grid of suggestions": lambda: f"{grid}?of=suggestions&label={self._label()}",
            "queues": lambda: f"{HOME}/review",
            "card": lambda: queue,
            "card, later": lambda: self._behind(queue),
        }

    def _of_assist(self) -> Addresses:
        assist = f"{HOME}/assist"
        return {
            "suggestions above 0": lambda: f"{assist}?above=0&version=m1",
            "suggestions above 0.95": lambda: f"{assist}?above=0.95&version=m1",
            "suggestions by precision": lambda: f"{assist}?precision=0.9&version=m1",
            "suggestions, 400 labels": lambda: f"{assist}?above={self._random.random()}&version=m400",
            "thresholds": lambda: f"{assist}/labels?precision=0.9&version=m1",
            "thresholds, 400 labels": lambda: f"{assist}/labels?precision=0.9&version=m400",
            "rules": lambda: f"{assist}/rules",
            "audits": lambda: f"{assist}/audits",
        }

    def _of_people(self) -> Addresses:
        votes = PERSON.replace("person?", "votes?")
        return {
            "people": lambda: f"{HOME}/people?sort=trust",
            "person": lambda: PERSON,
            "votes of a person": lambda: votes,
            "votes of a person, later": lambda: self._votes(votes),
            "people as CSV": lambda: f"{HOME}/people.csv",
            "pay": lambda: f"{HOME}/pay?{PERIOD}",
            "pay as CSV": lambda: f"{HOME}/pay.csv?{PERIOD}",
        }

    def _of_history(self) -> Addresses:
        n_tasks, log = len(self._columns["task"]) // EACH, f"{HOME}/history/decisions"
        return {
            "cost": lambda: f"{HOME}/cost",
            "runs": lambda: f"{HOME}/history",
            "batches": lambda: f"{HOME}/history/batches",
            "batch": lambda: f"{HOME}/history/batches/{batch_name(0)}",
            "decisions": lambda: log,
            "decisions, later": lambda: self._cursor(log, {"id": int(self._random.integers(200, DECISIONS))}),
            "task": lambda: f"{HOME}/tasks/{self._random.integers(n_tasks)}",
            "set-up": lambda: f"{HOME}/setup",
            "import": lambda: f"{HOME}/import",
        }

    def cookie(self) -> str:
        """Return what a browser of the admin keeps."""
        cookie = self._admin.get_cookie("consensus_session")
        return cookie.value if cookie else ""

    def _before(self, console: Console, email: str) -> FlaskClient:
        self.app = create_console(console)
        client = self.app.test_client()
        with client.session_transaction() as session:
            session.update(email=email, owner=email == EMAIL, since=time.time())
        return client

    def computed(self) -> dict[str, float]:
        """Have it worked out what pages need of all votes; return the seconds that take each."""
        seconds = {}
        for name, address in {"people": f"{HOME}/people.csv", "pay": f"{HOME}/pay.csv?{PERIOD}"}.items():
            began = time.perf_counter()
            while self._admin.get(address).mimetype != "text/csv":
                if time.perf_counter() - began > ENDED_S:
                    raise SystemExit(f"{address} is not there after {ENDED_S:.0f} seconds")
                time.sleep(0.2)
            seconds[name] = round(time.perf_counter() - began, 1)
        return seconds

    def times(self, name: str, n: int) -> list[tuple[float, float]]:
        """Ask so often for a page; return the milliseconds until its first byte, and those of the processor."""
        milliseconds = []
        client, made = self.addresses[name]
        for _ in range(n):
            address = made()
            began, computed = time.perf_counter(), time.thread_time()
            answer = client.get(address)
            computed = time.thread_time() - computed
            milliseconds.append((1000 * (time.perf_counter() - began), 1000 * computed))
            if answer.status_code != HTTPStatus.OK and "CSV" not in name:  # which leads on while it is worked out
                raise SystemExit(f"{address} answered {answer.status_code}: {answer.text}")
            answer.close()
        return milliseconds

    def _label(self) -> str:
        return str(self._random.choice(LABELS))

    def _cursor(self, address: str, place: dict[str, Any]) -> str:
        with self.app.test_request_context(address):
            cursor = self._service.cursors.make(question(), place)
        return f"{address}{'&' if '?' in address else '?'}after={cursor}"

    def _later(self, address: str, report: str) -> str:
        """Return the address of a page somewhere in a report, or in what its filter leaves of it."""
        label = address.partition("label=")[2]
        within = self._columns["report"] == report
        within &= self._columns["label"] == label if label else True
        row = int(self._random.choice(np.flatnonzero(within)))
        return self._cursor(address, {name: self._columns[name][[row]].tolist()[0] for name in PLACE})

    def _votes(self, address: str) -> str:
        task = int(self._random.integers(len(self._columns["task"]) // EACH))
        return self._cursor(address, dict(zip(VOTE_PLACE[1:], (task, ME, ""), strict=True)))

    def _behind(self, address: str) -> str:
        """Return the address of a card somewhere in the queue."""
        row = self._queue[int(self._random.integers(len(self._queue) - 1))]
        place = {name: row[name] for name in QUEUE_PLACE}
        return f"{address}?after={self._service.cursors.make(f'review {PROJECT} misclassified', place)}"


def config_of(labels: Sequence[str]) -> str:
    """Return the labelling interface."""
    choices = "".join(f'<Choice value="{label}"/>' for label in labels)
    image = '<Image name="image" value="$image"/>'
    return f'<View>{image}<Choices name="{CONTROL}" toName="image">{choices}</Choices></View>'


def suggested(version: str, labels: Sequence[str], n: int) -> Suggested:
    """Make so many open suggestions, and others that were judged."""
    random = np.random.default_rng(4)
    config = read_label_config(config_of(labels))
    scores = np.sort(random.beta(5, 1.2, n))[::-1].tolist()
    codes = random.integers(0, len(labels), n).tolist()
    rows = [
        Suggestion(10**7 + number, CONTROL, (labels[code],), score, version, number)
        for number, (code, score) in enumerate(zip(codes, scores, strict=True))
    ]
    task, judged_scores = np.arange(JUDGED, dtype=np.int32), random.beta(5, 1.2, JUDGED)
    label = random.integers(0, len(labels), JUDGED).astype(np.int32)
    right = random.random(JUDGED) < 0.5 + judged_scores / 2
    names = (np.array([*map(str, range(JUDGED))], dtype=object), np.array([ME], dtype=object))
    none, words = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=object)
    votes = Votes(
        "single", none, none, none, none.astype(np.int8), *names, np.array(labels, dtype=object)
    )  # fmt: skip
    collected = Collected(
        Control(config.choices[0], "choices"),
        votes,
        Submissions(none.astype(np.int64), words, none.astype(np.float64), words, words),
        Listed(none, none, none.astype(bool)),
        Gold(task[:GOLD], label[:GOLD], right[:GOLD]),
        Suggestions(task, label, judged_scores),
        [],
        Gold(task, label, right),
    )
    made = ProjectVotes([collected], [], [], [], frozenset(), {})
    return Suggested(_project(), version, rows, made, Truths([collected], {}), (), tuple(VERSIONS))


def _project() -> Project:
    return Project(PROJECT, "Made", 0, "", read_label_config(config_of(LABELS)), "http://127.0.0.1")


class StandIn:
    """A Label Studio that answers at once: one project, whose tasks nobody has annotated."""

    secret = ""

    def __init__(self, url: str) -> None:
        self.client = SimpleNamespace(
            url=url,
            authorization="",
            project_titles=lambda: {PROJECT: "Made"},
            tasks_by_id=self._tasks,
            own_account=lambda: (1, EMAIL),
            connections=lambda _: [],
        )

    def project(self, _: int) -> Project:
        """Return the project."""
        return _project()

    def accounts(self) -> dict[int, str]:
        """Return who may sign in."""
        return {1: EMAIL, 2: ME}

    def _tasks(self, _project: int, _include: str, ids: Sequence[int]) -> list[dict[str, Any]]:
        return [{"id": number, "data": {"image": f"/{number}.png"}} for number in ids]

"""Runs of consensus on a real Label Studio."""

from __future__ import annotations

import http.server
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from administrator import Administrator
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint
from stored_rows import report_in, votes_in

from common.contract import REPORT_NAMES
from common.errors import RefusedError
from common.label_studio import incremental_sync
from common.label_studio.client import LabelStudioClient
from consensus import cli
from consensus import label_studio as edge
from consensus.core.decide.writeback import Written, difference
from consensus.errors import ConfigError, LabelStudioError
from consensus.label_studio import CachedTasks, Studio
from consensus.projects import run as pipeline
from consensus.projects.route import Routed, route
from consensus.settings import ProjectConfig, settings
from consensus.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from conftest import RunningLabelStudio

    from common.label_studio.incremental_sync import Pulled
    from consensus.core.votes.from_annotations import Task
    from consensus.projects.run import Outcome

pytestmark = pytest.mark.server

ANIMALS = """<View>
  <Image name="image" value="$image"/>
  <Choices name="kind" toName="image" choice="single">
    <Choice value="cat"/><Choice value="dog"/><Choice value="owl"/>
  </Choices>
  <Choices name="traits" toName="image" choice="multiple"><Choice value="fur"/><Choice value="wings"/></Choices>
  <TextArea name="note" toName="image"/>
</View>"""
VERIFICATION = """<View>
  <Image name="image" value="$image"/><Text name="shown" value="$given"/>
  <Choices name="check" toName="image"><Choice value="Yes"/><Choice value="No"/><Choice value="Unsure"/></Choices>
</View>"""
A1, A2, A3, A4 = WHO = tuple(f"{name}@example.com" for name in ("a1", "a2", "a3", "a4"))
MACHINE = "machine@example.com"
TRUST = 100.0
HEAVY = ProjectConfig(policy="label-ai", trust=dict.fromkeys(WHO, TRUST))
"""With such a trust the four annotators fill all five reports of the policy label-ai."""
Region = dict[str, Any]


def said(choice: str | Sequence[str], control: str = "kind") -> Region:
    """A region that makes one or several choices on a control."""
    choices = [choice] if isinstance(choice, str) else list(choice)
    return {"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": choices}}


def bound(yes: int, total: int) -> float:
    """Confidence of policy label-ai for so many votes of yes among so many, each of weight `TRUST`."""
    return lower(5 + TRUST * yes, 10 + TRUST * total)


def lower(positive: float, total: float) -> float:
    """Lower bound of Wilson's interval for z = 1.96."""
    return float(proportion_confint(positive, total, 2 * norm.sf(1.96), "wilson")[0])


class Noting(httpx.HTTPTransport):
    """The network; what is sent beside GET is noted."""

    def __init__(self, sent: list[str]) -> None:
        super().__init__()
        self.sent = sent

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            self.sent.append(f"{request.method} {request.url.path}")
        return super().handle_request(request)


@dataclass
class Place:
    """A Label Studio with annotators, and what was sent to it."""

    url: str
    edge: LabelStudioClient
    admin: Administrator
    tokens: Mapping[str, str]
    ids: Mapping[str, int]
    sent: list[str] = field(default_factory=list)

    def studio(self) -> Studio:
        """The edge under test; what it sends beside GET is noted."""
        return Studio(self.edge, "of a test")

    def make(
        self,
        config: str,
        data: Sequence[Mapping[str, object]],
        votes: Mapping[int, Mapping[str, list[Region] | None]],
    ) -> tuple[int, list[int]]:
        """A project, its tasks with annotations by e-mail address (None: skipped); ids of both."""
        number = self.admin.create_project(config, secrets.token_hex(8))
        body = [
            {
                "data": {"image": f"https://images.example.com/{row}.png", **one},
                "annotations": [
                    {
                        "completed_by": self.ids[who],
                        "result": result or [],
                        "was_cancelled": result is None,
                        "ground_truth": False,
                    }
                    for who, result in votes.get(row, {}).items()
                ],
            }
            for row, one in enumerate(data)
        ]
        if body:
            self.admin.import_tasks(number, body)
        return number, self.admin.task_ids(number)

    def annotate(self, task: int, who: str, result: list[Region], **more: object) -> int:
        """An annotation of a person, posted by the administrator."""
        return self.admin.annotate(task, *result, completed_by=self.ids[who], **more)

    def change(self, annotation: int, who: str, result: list[Region]) -> None:
        """Let somebody update an annotation."""
        with Administrator(self.url, self.tokens[who]) as annotator:
            annotator.ask("PATCH", f"/api/annotations/{annotation}/", json={"result": result})

    def tasks(self, project: int, **query: object) -> list[dict[str, Any]]:
        """All tasks of a project, or those of a view."""
        return self.admin.whole_tasks(project, **query)

    def written(self, project: int) -> list[tuple[int, str, str, float]]:
        """What the project holds of ours: task, report, choice shown, score."""
        rows = []
        for task in self.tasks(project):
            for one in task["predictions"]:
                if one["model_version"].startswith("consensus/"):
                    choices = [region["value"]["choices"][0] for region in one["result"]]
                    report = one["model_version"].removeprefix("consensus/")
                    rows.append((task["id"], report, ",".join(choices), one["score"]))
        return sorted(rows)

    def annotations(self, project: int) -> dict[int, dict[str, Any]]:
        """All human annotations of a project, whole."""
        return {one["id"]: one for task in self.tasks(project) for one in task["annotations"]}

    def version(self, project: int) -> str | None:
        """The version whose predictions annotators see."""
        return self.admin.project(project).model_version

    def suggest(self, project: int, tasks: Sequence[int], version: str) -> None:
        """Predictions of an ML model, shown to annotators."""
        body = [{"task": task, "result": [said("dog")], "score": 0.5, "model_version": version} for task in tasks]
        self.admin.import_predictions(project, body)
        self.admin.show_version(project, version)


def _account(url: str, invite: str, email: str) -> str:
    """Make an account through the invite link and return its token."""
    with httpx.Client(base_url=url, follow_redirects=True, timeout=60) as browser:
        browser.get(invite)
        form = {"email": email, "password": "long-enough-1", "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        browser.post(invite, data=form)
        answer = browser.get("/api/current-user/token")
        if answer.is_error:  # the account is there already
            browser.get("/user/login/")
            form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
            browser.post("/user/login/", data=form)
            answer = browser.get("/api/current-user/token")
        return str(answer.raise_for_status().json()["token"])


@pytest.fixture(scope="module")
def accounts(label_studio: RunningLabelStudio) -> tuple[dict[str, str], dict[str, int]]:
    """Tokens and ids of the annotators."""
    admin = label_studio.administrator
    invite = admin.ask("GET", "/api/invite")["invite_url"]
    tokens = {email: _account(label_studio.url, invite, email) for email in (*WHO, MACHINE)}
    return tokens, {email: number for number, email in admin.accounts().items()}


@pytest.fixture(scope="module")
def shared_place(
    label_studio: RunningLabelStudio, accounts: tuple[dict[str, str], dict[str, int]]
) -> Iterator[Place]:
    """The Label Studio of this module's tests."""
    sent: list[str] = []
    with Administrator(label_studio.url, label_studio.api_key, Noting(sent)) as edge:
        yield Place(label_studio.url, edge, label_studio.administrator, *accounts, sent)


@pytest.fixture
def place(shared_place: Place) -> Place:
    """The same, with nothing sent yet."""
    shared_place.sent.clear()
    return shared_place


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store in a file."""
    return Store.migrated(f"sqlite:///{tmp_path}/store.db")


def run(
    place: Place, store: Store, project: int, config: ProjectConfig = HEAVY, *, dry_run: bool = False
) -> Outcome:
    """One run of consensus."""
    return pipeline.run(place.studio(), store, config, project, now=lambda: datetime.now(UTC), dry_run=dry_run)


GIVEN = ["cat"] * 10 + ["dog", "owl"]
CHOSEN: dict[int, dict[str, list[Region] | None]] = {
    **{row: {who: [said("cat")] for who in WHO} for row in range(6)},
    6: {who: [said("dog"), said(["fur"], "traits")] for who in WHO},
    7: {who: [said("cat" if who in (A1, A2) else "owl")] for who in WHO},
    8: {A1: [said("cat"), said("hm", "note") | {"type": "textarea", "value": {"text": ["hm"]}}]},
}
"""Twelve tasks: 0 to 5 are confirmed, 6 was given wrongly, 7 is disputed, 8 has one vote, 9 to 11 have none."""


def animals(place: Place) -> tuple[int, list[int]]:
    """A project of twelve tasks with the votes above."""
    return place.make(ANIMALS, [{"kind": label} for label in GIVEN], CHOSEN)


def wanted(tasks: Sequence[int]) -> list[tuple[int, str, str, float]]:
    """What a run must write of the votes above, counted by hand."""
    rows = [(tasks[row], "AllConfirmed", "cat", bound(4, 4)) for row in range(6)]
    rows += [(tasks[6], report, "dog", bound(4, 4)) for report in ("MisClassified", "Discovered")]
    rows += [(tasks[6], "Discovered", "fur", bound(4, 4))]
    rows += [(tasks[7], "Controversial", label, bound(2, 4)) for label in ("cat", "owl")]
    rows += [(tasks[8], "Undecided", "cat", bound(1, 1))]
    rows += [(tasks[row], "NoVotes", GIVEN[row], bound(0, 0)) for row in (9, 10, 11)]
    return sorted(rows)


def test_reports_are_written_with_their_scores(place: Place, store: Store) -> None:
    """All reports hold the classifications, choices and confidences that were counted by hand."""
    project, tasks = animals(place)
    outcome = run(place, store, project)
    got = place.written(project)
    assert [row[:3] for row in got] == [row[:3] for row in wanted(tasks)]
    assert [row[3] for row in got] == pytest.approx([row[3] for row in wanted(tasks)], abs=1e-6)
    assert outcome.reports == {
        "AllConfirmed": 6, "MisClassified": 1, "Discovered": 2, "Controversial": 2, "NoVotes": 3,
        "Undecided": 1,
    }  # fmt: skip
    assert outcome.problems == []
    assert [row["task"] for row in report_in(store, project, "MisClassified")] == [tasks[6]]


def test_a_run_reads_what_has_changed_and_finds_what_a_full_reading_finds(
    place: Place, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Votes changed, withdrawn and added, new tasks and a model's predictions; after a deleted task all."""
    monkeypatch.setattr(incremental_sync, "_OVERLAP", timedelta(0))  # half a minute would have to pass
    project, tasks = animals(place)
    time.sleep(1.1)  # Label Studio tells the time in whole seconds

    def once() -> Outcome:
        studio = Studio(place.edge, "of a test", cache=tmp_path / "cache")
        return pipeline.run(studio, store, HEAVY, project, now=lambda: datetime.now(UTC))

    def read(cache: Path | None) -> Pulled[list[tuple[Task, list[Written]]]]:
        studio = Studio(place.edge, "of a test", cache=cache)
        return studio.pull(project, studio.accounts(), datetime.now(UTC), CachedTasks.read)

    first, again = once(), once()
    assert (first.tasks_read, again.tasks_read, again.changes.empty) == (12, 0, True)
    annotations = {task["id"]: [row["id"] for row in task["annotations"]] for task in place.tasks(project)}
    place.change(annotations[tasks[0]][0], A1, [said("owl")])
    place.admin.ask("DELETE", f"/api/annotations/{annotations[tasks[1]][0]}/")
    place.annotate(tasks[9], A1, [said("cat")])
    place.annotate(tasks[10], A1, [], was_cancelled=True)
    place.admin.ask("POST", f"/api/projects/{project}/import", json=[{"image": "x", "kind": "owl"}])
    place.suggest(project, tasks[2:4], "model-1")
    changed = read(tmp_path / "cache")
    assert (changed.read, changed.why_all) == (5, "")
    assert changed.tasks == read(None).tasks
    place.admin.ask("DELETE", f"/api/tasks/{tasks[5]}/")
    assert once().tasks_read == 12
    cached, whole = read(tmp_path / "cache"), read(None)
    assert cached.tasks == whole.tasks
    assert cached.read < whole.read == 12  # a score that a run changed is a change of its task


def test_each_report_has_a_tab_that_shows_its_tasks(place: Place, store: Store) -> None:
    """A tab per report is made beside the default one, and its filter leaves the report's tasks."""
    project, tasks = animals(place)
    run(place, store, project)
    views = place.admin.tabs(project)
    tabs = {view["data"]["title"]: view["id"] for view in views}
    shown = {name: {task["id"] for task in place.tasks(project, view=tabs[name])} for name in REPORT_NAMES}
    assert sorted(tabs) == sorted(["Default", *REPORT_NAMES])
    assert shown == {name: {row[0] for row in wanted(tasks) if row[1] == name} for name in REPORT_NAMES}


def test_a_second_run_sends_no_write(place: Place, store: Store) -> None:
    """Where nothing is new, nothing but GET is sent, and no annotation of a person is touched by any run."""
    project, _ = animals(place)
    before = place.annotations(project)
    run(place, store, project)
    assert place.sent
    place.sent.clear()
    outcome = run(place, store, project)
    assert (place.sent, outcome.changes.empty, outcome.tabs) == ([], True, [])
    assert place.annotations(project) == before


def test_only_the_difference_of_new_changed_and_withdrawn_votes_is_sent(place: Place, store: Store) -> None:
    """A new, a changed and a deleted annotation each move the reports of their own task alone."""
    project, tasks = animals(place)
    run(place, store, project)
    place.annotate(tasks[9], A1, [said("cat")])  # no longer without a vote
    changed = next(one for one in place.tasks(project) if one["id"] == tasks[7])["annotations"]
    a4 = next(one["id"] for one in changed if one["completed_by"] == place.ids[A4])
    place.change(a4, A4, [said("cat")])
    gone = [one for one in place.annotations(project).values() if one["task"] == tasks[6]]
    for one in gone:
        place.admin.ask("DELETE", f"/api/annotations/{one['id']}/")
    before = {row for row in place.written(project) if row[0] not in (tasks[6], tasks[7], tasks[9])}
    place.sent.clear()
    outcome = run(place, store, project)
    created = {(entry.task, entry.report, entry.choice) for entry in outcome.changes.create}
    left = [(tasks[6], "NoVotes", "cat"), (tasks[7], "Undecided", "cat"), (tasks[9], "Undecided", "cat")]
    assert sorted(created) == left
    assert (len(outcome.changes.update), len(outcome.changes.delete)) == (0, 6)
    assert sorted(line.split()[0] for line in place.sent) == ["DELETE"] * 6 + ["POST"]
    now = place.written(project)
    assert {row for row in now if row[0] not in (tasks[6], tasks[7], tasks[9])} == before
    assert [row[:3] for row in now if row[0] in (tasks[6], tasks[7], tasks[9])] == left


def test_a_score_that_moved_is_updated_in_place(place: Place, store: Store) -> None:
    """One vote less changes the score of the prediction that is there; its region and version stay."""
    project, tasks = animals(place)
    run(place, store, project)
    lean = ProjectConfig(policy="label-ai", trust=dict.fromkeys(WHO, TRUST) | {A4: 90.0})
    place.sent.clear()
    outcome = run(place, store, project, lean)
    assert {line.split()[0] for line in place.sent} == {"PATCH"}
    assert len(outcome.changes.update) == len(place.sent) == 2  # the disputed two; all others moved too little
    scores = {(task, choice): score for task, _, choice, score in place.written(project)}
    assert scores[tasks[7], "cat"] == pytest.approx(lower(205, 400), abs=1e-6)
    assert scores[tasks[7], "owl"] == pytest.approx(lower(195, 400), abs=1e-6)


def test_drafts_skips_ground_truth_and_machines_are_no_votes(place: Place, store: Store) -> None:
    """A draft says nothing, a skip is unsure, ground truth teaches without a vote, a machine never votes."""
    project, tasks = place.make(ANIMALS, [{"kind": "cat"}] * 4, {1: {A1: None}})
    draft = {"result": [said("dog")], "draft": True, "project": project}
    place.admin.ask("POST", f"/api/tasks/{tasks[0]}/drafts", json=draft)
    place.annotate(tasks[2], A2, [said("cat")], ground_truth=True)
    place.annotate(tasks[3], MACHINE, [said("dog")])
    config = HEAVY.model_copy(update={"machines": ["MACHINE@example.com"]})
    outcome = run(place, store, project, config)
    votes = [(row["task"], row["control"], row["vote"]) for row in votes_in(store, project)]
    assert votes == [(tasks[1], "kind", "unsure"), (tasks[1], "traits", "unsure")]
    assert [row["task"] for row in report_in(store, project, "NoVotes")] == [tasks[0], tasks[3]]
    assert [row["task"] for row in report_in(store, project, "AllConfirmed")] == [tasks[2]]
    assert outcome.unused == [f"trust of {who!r}, who has no vote" for who in (A2, A3, A4)]


def test_accepting_an_accusation_writes_the_label_that_the_votes_prefer(place: Place, store: Store) -> None:
    """And no vote: the given label stays MisClassified, the other one is right, by decision."""
    project, tasks = animals(place)
    before = run(place, store, project)
    place.admin.act(project, "predictions_to_annotations", [tasks[6]], model_version="consensus/MisClassified")
    [accepted] = [one for one in place.annotations(project).values() if one["parent_prediction"]]
    assert accepted["result"][0]["value"] == {"choices": ["dog"]}
    assert accepted["result"][0]["meta"]["text"][0] == "given cat; of 4 votes 4 say dog, 0 say cat"
    after = run(place, store, project)
    assert (after.votes, after.annotators, after.reports) == (before.votes, before.annotators, before.reports)
    kept = ("label", "posterior", "proposed", "proposed_posterior")
    assert [tuple(row[name] for name in kept) for row in store.proposals(project)] == [("cat", 0, ["dog"], 1)]


def test_columns_sort_a_reports_tab(place: Place, store: Store) -> None:
    """What a report prefers is a key of the tasks' data: Label Studio lists them in its order, the rest stays."""
    project, tasks = place.make(ANIMALS, [{"kind": "cat", "own": [1]}] * 3, {
        row: {who: [said(("dog", "owl")[row])] for who in WHO} for row in range(2)
    })  # fmt: skip
    config = HEAVY.model_copy(update={"task_columns": True})
    outcome = run(place, store, project, config)
    assert set(outcome.columns) == set(tasks[:2])
    data = {task["id"]: task["data"] for task in place.tasks(project)}
    assert [data[task].get("consensus_label") for task in tasks] == ["dog", "owl", None]
    assert [data[task]["own"] for task in tasks] == [[1]] * 3
    tab = next(view for view in place.admin.tabs(project) if view["data"]["title"] == "MisClassified")
    content = {**tab["data"], "ordering": ["-tasks:data.consensus_label"]}
    place.admin.ask("PATCH", f"/api/dm/views/{tab['id']}/", json={"project": project, "data": content})
    assert [task["id"] for task in place.tasks(project, view=tab["id"])] == [tasks[1], tasks[0]]
    assert run(place, store, project, config).columns == {}


@pytest.mark.parametrize("report_is_there", [True, False])
def test_an_accepted_report_settles_and_is_no_vote(place: Place, store: Store, *, report_is_there: bool) -> None:
    """Create Annotations From Predictions, on a report: same votes, same trust, and the label is settled."""
    project, tasks = animals(place)
    plain = ProjectConfig()
    before = run(place, store, project, plain)
    votes = votes_in(store, project)
    place.admin.act(project, "predictions_to_annotations", [tasks[0]], model_version="consensus/AllConfirmed")
    if not report_is_there:  # Label Studio forgets what the annotation was made from
        path = f"/api/projects/{project}/model-versions/"
        place.admin.ask("DELETE", path, json={"model_version": "consensus/AllConfirmed"})
    after = run(place, store, project, plain)
    assert (votes_in(store, project), after.votes, after.annotators) == (votes, before.votes, before.annotators)
    settled = [row for row in report_in(store, project, "AllConfirmed") if row["posterior"] == 1]
    assert [(row["task"], row["label"], row["confidence"], row["yes"]) for row in settled] == [
        (tasks[0], "cat", 1, 4)
    ]


def test_an_owners_update_settles_and_leaves_the_vote_as_it_was(place: Place, store: Store) -> None:
    """Of an annotator's annotation, by another account: the vote stays, trust stays, the label is settled."""
    project, tasks = animals(place)
    plain = ProjectConfig()
    before = run(place, store, project, plain)
    votes = votes_in(store, project)
    own = next(one for one in place.annotations(project).values() if one["task"] == tasks[0])
    body = {"result": [said("owl")]}
    place.admin.ask("PATCH", f"/api/annotations/{own['id']}/", json=body)
    for _ in range(2):
        after = run(place, store, project, plain)
        assert (votes_in(store, project), after.annotators) == (votes, before.annotators)
        discovered = [row for row in report_in(store, project, "Discovered") if row["task"] == tasks[0]]
        assert [(row["label"], row["confidence"], row["yes"]) for row in discovered] == [("owl", 1, 0)]
    assert tasks[0] in [row["task"] for row in report_in(store, project, "MisClassified")]
    place.admin.ask("PATCH", f"/api/annotations/{own['id']}/", json={"ground_truth": True})
    starred = run(place, store, project, plain)
    assert (starred.gold_tasks, len(votes_in(store, project))) == (1, len(votes) - 2)  # on both controls


def test_the_latest_annotation_of_a_person_counts(place: Place, store: Store) -> None:
    """Of two annotations of one person on one task the one that was changed last is the vote."""
    project, tasks = place.make(ANIMALS, [{"kind": "cat"}], {})
    first = place.annotate(tasks[0], A1, [said("cat")])
    place.annotate(tasks[0], A1, [said("owl")])
    run(place, store, project)
    assert [row["label"] for row in votes_in(store, project) if row["control"] == "kind"] == ["owl"]
    place.change(first, A1, [said("dog")])
    run(place, store, project)
    assert [row["label"] for row in votes_in(store, project) if row["control"] == "kind"] == ["dog"]


class Cut(Exception):  # noqa: N818
    """Stands for a process that ends."""


def _cut_after(function: Any, calls: int) -> Any:  # noqa: ANN401
    """The function, which ends the process once it has done its work so many times."""
    done = []

    def cut(*arguments: Any) -> Any:  # noqa: ANN401
        result = function(*arguments)
        done.append(None)
        if len(done) == calls:
            raise Cut
        return result

    return cut


@pytest.mark.parametrize(
    ("owner", "method", "calls"),
    [
        (LabelStudioClient, "import_predictions", 2),
        (LabelStudioClient, "delete_prediction", 1),
        (LabelStudioClient, "add_tab", 2),
    ],
)
def test_a_run_that_was_cut_off_is_repaired_by_the_next(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch, owner: type, method: str, calls: int
) -> None:
    """Wherever a run ends, the next one leads to the same predictions and tabs, none of them twice."""
    monkeypatch.setattr(edge, "PAGE", 5)
    monkeypatch.setattr(edge, "IMPORTED", 5)
    project, tasks = animals(place)
    surplus = [{"task": tasks[0], "result": [], "score": 0.1, "model_version": "consensus/Discovered"}] * 2
    place.admin.ask("POST", f"/api/projects/{project}/import/predictions", json=surplus)
    with monkeypatch.context() as breaking:
        breaking.setattr(owner, method, _cut_after(getattr(owner, method), calls))
        with pytest.raises(Cut):
            run(place, store, project)
    assert store.last_run(project)["finished_at"] is None  # type: ignore[index]
    run(place, store, project)
    assert [row[:3] for row in place.written(project)] == [row[:3] for row in wanted(tasks)]
    views = place.admin.tabs(project)
    assert sorted(view["data"]["title"] for view in views) == sorted(["Default", *REPORT_NAMES])
    assert store.last_run(project)["finished_at"] is not None  # type: ignore[index]


def test_a_run_that_was_cut_off_between_store_and_label_studio_is_repaired(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stored but not sent is sent by the next run."""
    project, tasks = animals(place)
    with monkeypatch.context() as breaking:
        breaking.setattr(Studio, "write", lambda *_: (_ for _ in ()).throw(Cut))
        with pytest.raises(Cut):
            run(place, store, project)
    assert (len(report_in(store, project, "AllConfirmed")), place.written(project)) == (6, [])
    run(place, store, project)
    assert [row[:3] for row in place.written(project)] == [row[:3] for row in wanted(tasks)]


def test_the_label_stream_is_not_changed(place: Place, store: Store) -> None:
    """Annotators get the ML model's suggestion as before, and nothing that consensus wrote."""
    project, tasks = animals(place)
    place.suggest(project, tasks, "m1")

    def served() -> list[tuple[str, float]]:
        with Administrator(place.url, place.tokens[A1]) as annotator:
            predictions = annotator.next_task(project)["predictions"]
        return [(prediction["model_version"], prediction["score"]) for prediction in predictions]

    def scores() -> list[float]:
        return [task["predictions_score"] for task in place.tasks(project)]

    before = served(), scores(), place.version(project)
    run(place, store, project)
    assert place.written(project)
    assert (served(), scores(), place.version(project)) == before
    assert before[0] == [("m1", 0.5)]
    assert before[2] == "m1"


def test_without_a_model_the_label_stream_stays_without_predictions(place: Place, store: Store) -> None:
    """Where no version is chosen, none is chosen by a run, and annotators see no prediction."""
    project, _ = animals(place)
    before = place.version(project)
    run(place, store, project)
    with Administrator(place.url, place.tokens[A1]) as annotator:
        assert (place.version(project), annotator.next_task(project)["predictions"]) == (before, [])


class _Backend(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer({"status": "UP", "versions": ["m1"]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer({"results": []} if self.path == "/predict" else {"model_version": "m1"})

    def _answer(self, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def backend() -> Iterator[str]:
    """Address of an ML backend that is there and suggests nothing."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Backend) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def emptying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes two updates or deletions many, so that a report is emptied and written anew."""
    monkeypatch.setattr(pipeline, "difference", lambda new, old: difference(new, old, many=2))


@pytest.mark.usefixtures("emptying")
@pytest.mark.parametrize("cut", ["", "by an error", "at once"])
def test_emptying_a_report_keeps_the_annotators_version(
    place: Place, store: Store, backend: str, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    """Label Studio forgets the model's version when a report is emptied: the run, or the next, sets it again."""
    project, tasks = animals(place)
    body = {"url": backend, "project": project, "title": "m1"}
    place.admin.ask("POST", "/api/ml/", json=body)
    place.suggest(project, tasks, "m1")
    run(place, store, project)
    lean = ProjectConfig(policy="label-ai", trust=dict.fromkeys(WHO, 30.0))
    if cut:
        with monkeypatch.context() as breaking:
            breaking.setattr(LabelStudioClient, "delete_version", _cut_after(LabelStudioClient.delete_version, 1))
            if cut == "at once":  # a process that is killed sets nothing again
                breaking.setattr(Studio, "show", lambda *_: None)
            with pytest.raises(Cut):
                run(place, store, project, lean)
        assert (place.version(project) or "") == ("" if cut == "at once" else "m1")
    outcome = run(place, store, project, lean)
    assert cut or outcome.changes.clear
    assert place.version(project) == "m1"
    assert run(place, store, project, lean).changes.empty
    assert len([one for task in place.tasks(project) for one in task["predictions"]]) == 12 + 15


def test_a_verification_project(place: Place, store: Store) -> None:
    """Votes of yes, no and unsure on the given label are counted, and the reports show what was found."""
    votes: dict[int, dict[str, list[Region] | None]] = {
        0: {who: [said("Yes", "check")] for who in WHO},
        1: {who: [said("No", "check")] for who in WHO},
        2: {who: [said("Yes" if who in (A1, A2) else "No", "check")] for who in WHO},
        3: {who: [said("Unsure", "check")] for who in WHO},
    }
    data = [{"given": label} for label in ("cat", "dog", "owl", "emu", "fox")]
    project, tasks = place.make(VERIFICATION, data, votes)
    outcome = run(place, store, project)
    found = [(task, report, shown) for task, report, shown, _ in place.written(project)]
    assert found == [
        (tasks[0], "AllConfirmed", "Yes"),
        (tasks[1], "MisClassified", "No"),
        (tasks[2], "Controversial", "Unsure"),
        (tasks[3], "MisClassified", "No"),
        (tasks[4], "NoVotes", ""),
    ]
    assert outcome.controls[0].given == "given"
    assert report_in(store, project, "AllConfirmed")[0]["label"] == "cat"
    place.sent.clear()
    run(place, store, project)
    assert place.sent == []


def test_the_default_policy_on_postgresql(place: Place, postgres_database_url: str) -> None:
    """With learned trust and a PostgreSQL as store the agreed labels are confirmed and the wrong one is found."""
    store = Store.migrated(postgres_database_url)
    project, tasks = animals(place)
    run(place, store, project, ProjectConfig())
    assert {row["task"] for row in report_in(store, project, "AllConfirmed")} >= set(tasks[:6])
    assert [row["label"] for row in report_in(store, project, "MisClassified") if row["task"] == tasks[6]] == [
        "cat"
    ]
    place.sent.clear()
    assert run(place, store, project, ProjectConfig()).changes.empty
    assert place.sent == []


def test_a_dry_run_writes_and_stores_nothing(place: Place, store: Store) -> None:
    """A dry run tells what it would send, and leaves Label Studio and the store as they were."""
    project, _ = animals(place)
    outcome = run(place, store, project, dry_run=True)
    assert (len(outcome.changes.create), outcome.tabs) == (15, list(REPORT_NAMES))
    assert (place.sent, place.written(project)) == ([], [])
    assert store.last_run(project) is None
    assert report_in(store, project, "AllConfirmed") == []


def test_a_given_label_that_cannot_be_read_is_named_and_the_votes_count(place: Place, store: Store) -> None:
    """A given label that is no choice is in no report; who voted on its task voted."""
    data = [{"kind": "cat"}, {"kind": "kat"}, {"kind": "owl"}]
    project, tasks = place.make(ANIMALS, data, {1: {A1: [said("cat")]}})
    outcome = run(place, store, project)
    assert [problem.task for problem in outcome.problems] == [tasks[1]]
    assert "'kat'" in outcome.problems[0].what
    assert [row["task"] for row in report_in(store, project, "NoVotes")] == [tasks[0], tasks[2]]
    votes = [row for row in votes_in(store, project) if row["control"] == "kind"]
    assert [(row["task"], row["label"]) for row in votes] == [(tasks[1], "cat")]


def test_an_annotation_that_cannot_be_read_is_named_and_the_others_go_on(place: Place, store: Store) -> None:
    """A choice that was renamed since leaves its annotation out, and its task keeps the other votes."""
    project, tasks = place.make(ANIMALS, [{"kind": "dog"}], {0: {A1: [said("cat")], A2: [said("dog")]}})
    renamed = ANIMALS.replace('"cat"', '"kitten"')
    place.admin.ask("PATCH", f"/api/projects/{project}", json={"label_config": renamed})
    outcome = run(place, store, project)
    assert [(problem.task, "chose 'cat'" in problem.what) for problem in outcome.problems] == [(tasks[0], True)]
    votes = [row for row in votes_in(store, project) if row["control"] == "kind"]
    assert [(row["annotator"], row["label"]) for row in votes] == [(A2, "dog")]


def test_a_project_without_choices_is_refused(place: Place, store: Store) -> None:
    """Where there is nothing to count, the message says so."""
    config = '<View><Image name="image" value="$image"/><TextArea name="note" toName="image"/></View>'
    project, _ = place.make(config, [{}], {})
    with pytest.raises(ConfigError, match=f"project {project} has no <Choices>"):
        run(place, store, project)


def test_a_project_without_tasks_has_empty_reports(place: Place, store: Store) -> None:
    """Nothing is found in nothing, twice."""
    project, _ = place.make(ANIMALS, [], {})
    outcome = run(place, store, project)
    assert (outcome.classifications, sum(outcome.reports.values())) == (0, 0)
    place.sent.clear()
    run(place, store, project)
    assert place.sent == []


def test_the_command_line_pings(
    label_studio: RunningLabelStudio,
    postgres_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Both answer; with a wrong token the database still does, and the token is not in the message."""
    monkeypatch.setattr(sys, "argv", ["consensus", "ping"])
    monkeypatch.setenv("CONSENSUS_DATABASE_URL", postgres_database_url)
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    for token, status in ((label_studio.api_key, 0), ("s3cret", 1)):
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", token)
        settings.cache_clear()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert (ended.value.code or 0) == status
        printed = capsys.readouterr()
        assert printed.out == "database: answers\n" + ("" if status else "Label Studio: answers\n")
        assert ("refused the token for the list of accounts" in printed.err) == bool(status)
        assert "s3cret" not in printed.err


def test_a_dry_run_of_the_command_line_makes_no_file(
    label_studio: RunningLabelStudio,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither a database nor a lock, and nothing is sent; what was read is kept in the cache."""
    project, _ = animals(place)
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.api_key)
    monkeypatch.setattr(sys, "argv", ["consensus", "run", "--project", str(project), "--dry-run", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, json.loads(capsys.readouterr().out)["dry_run"]) == (0, True)
    assert ([path.name for path in Path().iterdir()], place.written(project)) == (["cache"], [])


def test_a_project_that_is_not_there_is_named(place: Place, store: Store) -> None:
    """The message names the project."""
    with pytest.raises(LabelStudioError, match="no project 987654"):
        run(place, store, 987654)


def test_two_runs_at_once_and_the_command_line(
    label_studio: RunningLabelStudio,
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """While one run is at work another is refused in one sentence; once the first is dead the next works."""
    project, _ = animals(place)
    arguments = ["run", "--project", str(project)]
    monkeypatch.setenv("CONSENSUS_DATABASE_URL", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.api_key)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        monkeypatch.setenv("LABEL_STUDIO_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        first = subprocess.Popen([sys.executable, "-m", "consensus.cli", *arguments])
        try:
            connection, _ = silent.accept()  # the first run holds the lock and waits for an answer
            with connection:
                monkeypatch.setattr(sys, "argv", ["consensus", *arguments])
                with pytest.raises(SystemExit) as ended:
                    cli.main()
        finally:
            first.kill()
            first.wait()
    busy = f"error: another run is at work on project {project}; wait for it to end, or stop it\n"
    assert (ended.value.code, capsys.readouterr()) == (1, ("", busy))
    settings.cache_clear()
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setattr(sys, "argv", ["consensus", *arguments, "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    assert (ended.value.code, printed.err) == (0, "")
    assert json.loads(printed.out)["reports"]["AllConfirmed"] >= 6
    assert len(place.written(project)) == sum(json.loads(printed.out)["reports"].values())


def shown(place: Place, who: str, project: int) -> list[int]:
    """The tasks that the label stream gives a person, who answers cat each time, until there are none."""
    given: list[int] = []
    with Administrator(place.url, place.tokens[who]) as person:
        while True:
            try:
                given.append(person.next_task(project)["id"])
            except RefusedError:
                return given
            person.annotate(given[-1], said("cat"))


def routed(place: Place, store: Store, project: int, *, dry_run: bool = False) -> tuple[Routed, list[str]]:
    """One routing of a project, and what it sent."""
    place.sent.clear()
    return route(place.studio(), store, project, dry_run=dry_run), list(place.sent)


def test_votes_are_asked_for_where_they_are_needed(place: Place, store: Store) -> None:
    """What is confirmed is shown to nobody more, what is disputed to a third annotator and nobody who had it."""
    votes = {0: {A1: [said("cat")], A2: [said("cat")]}, 1: {A1: [said("cat")], A2: [said("owl")]}}
    project, (confirmed, disputed, new) = place.make(ANIMALS, [{"kind": "cat"}] * 3, votes)
    place.admin.ask("PATCH", f"/api/tasks/{confirmed}/", json={"overlap": 4, "is_labeled": False})
    run(place, store, project)
    planned, sent = routed(place, store, project, dry_run=True)
    assert (len(planned.changes), sent) == (2, [])
    first, sent = routed(place, store, project)
    assert sent == [f"PATCH /api/tasks/{confirmed}/", f"PATCH /api/tasks/{disputed}/"]
    assert {one.task: one.need for one in first.advice} == {confirmed: "none", disputed: "vote", new: "vote"}
    assert routed(place, store, project)[1] == []
    assert {who: shown(place, who, project) for who in (A2, A1, A3, A4)} == {
        A2: [new], A1: [], A3: [disputed], A4: []
    }  # fmt: skip
    waiting, sent = routed(place, store, project)  # the votes are in, but no run has seen them
    assert (sent, {one.task: one.need for one in waiting.advice}[disputed]) == ([], "run")
    run(place, store, project)
    assert set(routed(place, store, project)[1]) == {f"PATCH /api/tasks/{task}/" for task in (disputed, new)}
    assert routed(place, store, project)[1] == []
    assert [shown(place, who, project) for who in (A2, A4)] == [[], [disputed, new]]

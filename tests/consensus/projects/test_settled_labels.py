"""What settles a label: ground truth, an accepted report, an annotation that somebody else has changed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from in_memory_label_studio import NOW, InMemoryStudio, Json, choices, config, region
from stored_rows import votes_in

from common.contract import MACHINE_ACCOUNT, DecisionMark, decision_meta
from consensus.label_studio import Studio
from consensus.projects import run as pipeline
from consensus.projects.route import route
from consensus.projects.run import Outcome, run
from consensus.settings import ProjectConfig
from consensus.store.columns import Row
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION

ADMIN, A1, A2, A3 = PEOPLE = ("admin@example.com", "a1@example.com", "a2@example.com", "a3@example.com")
KIND = choices("kind", "cat", "dog", "owl")
Once = Callable[..., Outcome]
N = 12
"""Tasks: all three say cat to most of them; the last two were given wrongly, the very last has one vote."""


@pytest.fixture
def studio() -> InMemoryStudio:
    """A project that three people have annotated, a day before its clock."""
    made = InMemoryStudio(config(KIND))
    made.accounts = dict(enumerate([*PEOPLE, MACHINE_ACCOUNT], start=1))
    made.now = NOW - timedelta(days=1)
    for number in range(1, N + 1):
        made.add_task({"image": "i", "label": "cat"}, task_id=number)
        for account in (2, 3, 4)[: 1 if number == N else 3]:
            made.annotate(number, [region("kind", "dog" if number >= N - 1 else "cat")], completed_by=account)
    made.now = NOW
    return made


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.migrated(f"sqlite:///{tmp_path}/store.db")


@pytest.fixture
def once(studio: InMemoryStudio, store: Store, tmp_path: Path) -> Once:
    """One run, which reads what has changed since the one before."""

    def run_once(settings: ProjectConfig | None = None) -> Outcome:
        studio.now += timedelta(hours=1)
        edge = Studio(studio.client(), "of a test", lambda _: None, tmp_path / "cache")
        return run(edge, store, settings or ProjectConfig(), 7, now=lambda: studio.now)

    return run_once


def rows_of(store: Store, task: int) -> dict[str, tuple[str, float, float, int]]:
    """Report, confidence, posterior and votes of yes of a task's classifications."""
    names = "control", "task", "label", "report", "confidence", "posterior", "yes"
    with store.snapshot() as snapshot:
        columns = snapshot.columns(CLASSIFICATION, 7, names)
    rows = zip(*(columns[name].tolist() for name in names), strict=True)
    return {row[2]: (row[3], row[4], row[5], row[6]) for row in rows if row[1] == task}


def votes_on(store: Store, task: int) -> list[tuple[str, str]]:
    """Who voted what on a task."""
    return sorted((row["annotator"], row["label"]) for row in votes_in(store, 7) if row["task"] == task)


def admin(studio: InMemoryStudio, method: str, path: str, **body: Any) -> Json:  # noqa: ANN401
    """What the owner does."""
    request = httpx.Request(method, f"http://label-studio.test/api/{path}/", json=body)
    answer = studio.handle_request(request)
    assert answer.is_success
    made: Json = answer.json()
    return made


def trust(outcome: Outcome) -> list[Row]:
    """Annotators with their votes and trust."""
    return outcome.annotators


def test_ground_truth_is_reported_as_what_it_says(studio: InMemoryStudio, store: Store, once: Once) -> None:
    """AllConfirmed where it agrees with the given label, MisClassified and Discovered where it does not."""
    tasks = {number: studio.tasks[number] for number in (1, 2, 3)}
    for number, choice in ((1, "cat"), (2, "owl")):
        admin(studio, "POST", f"tasks/{number}/annotations", result=[region("kind", choice)], ground_truth=True)
    tasks[3]["annotations"] = []
    admin(studio, "POST", "tasks/3/annotations", result=[region("kind", "dog")], ground_truth=True)
    outcome = once()
    assert rows_of(store, 1)["cat"] == ("AllConfirmed", 1, 1, 3)
    assert rows_of(store, 2) == {
        "cat": ("MisClassified", 0, 0, 3), "dog": ("", 0, 0, 0), "owl": ("Discovered", 1, 1, 0)
    }  # fmt: skip
    assert rows_of(store, 3) == {"cat": ("MisClassified", 0, 0, 0), "dog": ("Discovered", 1, 1, 0)}
    assert outcome.gold_tasks == 3


def test_starring_an_annotation_settles_its_task(studio: InMemoryStudio, store: Store, once: Once) -> None:
    """The only annotation of a task decides then; without the star it is the vote that it was."""
    once()
    [only] = studio.tasks[N]["annotations"]
    studio.now += timedelta(hours=1)
    admin(studio, "PATCH", f"annotations/{only['id']}", ground_truth=True)
    once()
    assert rows_of(store, N)["dog"][:3] == ("Discovered", 1, 1)
    assert votes_on(store, N) == []
    studio.now += timedelta(hours=1)
    admin(studio, "PATCH", f"annotations/{only['id']}", ground_truth=False)
    once()
    assert rows_of(store, N)["dog"][0] == ""
    assert votes_on(store, N) == [(A1, "dog")]


def test_ground_truth_that_does_not_teach_settles_alone(studio: InMemoryStudio, store: Store, once: Once) -> None:
    """Decisions on what was chosen because of its votes change nobody's trust, and are no gold for a guarantee."""
    before = once()
    for number in (1, N):
        meta = decision_meta(DecisionMark("5f0c", teaches=False))
        made = region("kind", "owl", meta=meta)
        admin(studio, "POST", f"tasks/{number}/annotations", result=[made], ground_truth=True)
    after = once()
    assert trust(after) == trust(before)
    assert after.gold_tasks == 0
    assert [rows_of(store, number)["owl"][:3] for number in (1, N)] == [("Discovered", 1, 1)] * 2
    assert once(ProjectConfig(guarantee=0.05)).guarantees[0].startswith("kind: Guarantee on 0 gold tasks")


@pytest.mark.parametrize("rewritten", [False, True])
def test_accepting_a_report_is_no_vote(
    studio: InMemoryStudio, store: Store, once: Once, *, rewritten: bool
) -> None:
    """It settles what it says, though Label Studio forgets where it is from once the prediction is gone."""
    before = once()
    report = next(row for row in studio.predictions if row["model_version"] == "consensus/Discovered")
    parent = None if rewritten else report["id"]
    number = report["task"]
    votes = votes_on(store, number)
    admin(studio, "POST", f"tasks/{number}/annotations", result=report["result"], parent_prediction=parent)
    after = once()
    assert votes_on(store, number) == votes
    assert (trust(after), after.votes) == (trust(before), before.votes)
    assert rows_of(store, number)["dog"] == ("Discovered", 1, 1, 3)
    assert rows_of(store, number)["cat"][:3] == ("MisClassified", 0, 0)
    entries = store.ledger(7, datetime(2020, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
    assert {entry["annotator"] for entry in entries} == {A1, A2, A3}


def test_a_report_that_is_taken_over_and_starred_teaches_nothing(
    studio: InMemoryStudio, store: Store, once: Once
) -> None:
    """It settles as before: the task was chosen because of its votes, star or no star."""
    before = once()
    report = next(row for row in studio.predictions if row["model_version"] == "consensus/Discovered")
    taken = {"result": report["result"], "parent_prediction": report["id"], "ground_truth": True}
    admin(studio, "POST", f"tasks/{report['task']}/annotations", **taken)
    after = once()
    assert rows_of(store, report["task"])["dog"] == ("Discovered", 1, 1, 3)
    assert (after.gold_tasks, trust(after)) == (0, trust(before))


def test_accepting_a_suggestion_of_a_model_stays_a_vote(studio: InMemoryStudio, store: Store, once: Once) -> None:
    """A prediction under a name of ours that consensus did not sign is none of its reports."""
    made = studio.predict(1, "m1", [region("kind", "cat")])
    forged = studio.predict(2, "consensus/Discovered", [region("kind", "cat")])
    for number, parent in ((1, made["id"]), (2, forged["id"])):
        admin(studio, "POST", f"tasks/{number}/annotations", result=made["result"], parent_prediction=parent)
    once()
    assert [(ADMIN, "cat") in votes_on(store, number) for number in (1, 2)] == [True, True]


@pytest.mark.parametrize("seen", [True, False])
def test_what_an_owner_makes_of_an_annotation_is_the_owners(
    studio: InMemoryStudio, store: Store, once: Once, *, seen: bool
) -> None:
    """It settles; the annotator's own vote stays where a run has seen it, and nobody's trust moves."""
    before = once() if seen else None
    first = studio.tasks[1]["annotations"][0]
    studio.now += timedelta(hours=1)
    admin(studio, "PATCH", f"annotations/{first['id']}", result=[region("kind", "owl")])
    after = once()
    kept = [(A1, "cat")] if seen else []
    assert votes_on(store, 1) == [*kept, (A2, "cat"), (A3, "cat")]
    assert rows_of(store, 1)["owl"][:3] == ("Discovered", 1, 1)
    assert rows_of(store, 1)["cat"][:3] == ("MisClassified", 0, 0)
    if before:
        assert trust(after) == trust(before)
        assert trust(once()) == trust(before)
    studio.now += timedelta(hours=1)
    first.update(result=[region("kind", "dog")], updated_by=2, updated_at=studio.now.strftime("%FT%T.%fZ"))
    studio.touch(1)
    once()
    assert (A1, "dog") in votes_on(store, 1)  # who speaks last is the author again
    assert rows_of(store, 1)["owl"][:3] != ("Discovered", 1, 1)


def test_what_is_stored_in_somebodys_name_is_their_vote(studio: InMemoryStudio, store: Store, once: Once) -> None:
    """An administrator may send annotations of others: Label Studio names the sender as who changed them."""
    admin(studio, "POST", f"tasks/{N}/annotations", result=[region("kind", "dog")], completed_by=3)
    once()
    assert votes_on(store, N) == [(A1, "dog"), (A2, "dog")]


def test_the_machine_account_never_votes(studio: InMemoryStudio, store: Store, once: Once) -> None:
    """Whatever the settings say; what is starred of it settles and teaches nothing."""
    before = once()
    for number in (1, 2):
        made = {"result": [region("kind", "owl")], "completed_by": 5, "ground_truth": number == 2}
        admin(studio, "POST", f"tasks/{number}/annotations", **made)
    after = once()
    assert trust(after) == trust(before)
    assert (after.votes, after.gold_tasks) == (before.votes, 0)
    assert [rows_of(store, number)["cat"][0] for number in (1, 2)] == ["AllConfirmed", "MisClassified"]


def test_no_more_votes_are_asked_for_what_is_settled(studio: InMemoryStudio, store: Store, once: Once) -> None:
    """One vote alone decides nothing; an owner's update does."""
    once()

    def need() -> str:
        edge = Studio(studio.client(), "of a test", lambda _: None)
        return next(advice.need for advice in route(edge, store, 7, dry_run=True).advice if advice.task == N)

    assert need() == "vote"
    [only] = studio.tasks[N]["annotations"]
    studio.now += timedelta(hours=1)
    admin(studio, "PATCH", f"annotations/{only['id']}", result=[region("kind", "owl")])
    once()
    assert need() == "none"


def test_a_settled_label_is_read_from_what_was_kept(studio: InMemoryStudio, once: Once) -> None:
    """A run that reads no task finds what the one before has found."""
    admin(studio, "POST", "tasks/1/annotations", result=[region("kind", "owl")], ground_truth=True)
    first, again = once(), once()
    assert (again.tasks_read, again.changes.empty) == (0, True)
    assert (again.reports, again.gold_tasks) == (first.reports, 1)


def test_a_decision_lets_a_run_start_from_where_the_last_one_was(
    studio: InMemoryStudio, once: Once, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is learned from scratch because of it, so that trust stays to the last digit; undone, neither."""
    once()
    starts: list[bool] = []
    compute = pipeline.compute

    def noted(context: Any, learned: Any) -> Any:  # noqa: ANN401
        starts.append(bool(learned))
        return compute(context, learned)

    monkeypatch.setattr(pipeline, "compute", noted)
    made = region("kind", "owl", meta=decision_meta(DecisionMark("5f0c", teaches=False)))
    admin(studio, "POST", "tasks/1/annotations", result=[made], ground_truth=True)
    assert not once().changes.empty
    studio.tasks[1]["annotations"].pop()
    studio.touch(1)
    assert not once().changes.empty
    assert starts == [True, True]
    studio.predictions[0]["score"] = 0.5  # another has written: that is no news, and learned anew
    studio.touch(studio.predictions[0]["task"])
    assert not once().changes.empty
    assert starts == [True, True, True, False]

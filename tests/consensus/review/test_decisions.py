"""What reviewers decide, as Label Studio and the next run see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from in_memory_label_studio import InMemoryStudio, region
from reviewed import (
    A1,
    ADMIN,
    DOUBTED,
    REVIEWER,
    SETTINGS,
    SILENT,
    TORN,
    WRONG,
    edge,
    label_studio,
    queued,
    report_of,
    run_at,
)

from common.contract import MACHINE_ACCOUNT, DecisionMark, decision_in
from consensus.assist.batches import resume
from consensus.assist.undo import undo
from consensus.core.review.names import RulingName
from consensus.core.review.rulings import Ruling
from consensus.errors import ConfigError
from consensus.review.decisions import Decided, decide
from consensus.settings import ControlSection, ProjectConfig, ReviewSection
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION

RANDOM = SETTINGS.model_copy(update={"review": ReviewSection(spot_share=1)})


@pytest.fixture
def studio(store: Store) -> InMemoryStudio:
    """A project after its first run."""
    made = label_studio()
    run_at(made, store)
    return made


def rule(
    studio: InMemoryStudio,
    store: Store,
    name: RulingName,
    *tasks: int,
    labels: tuple[str, ...] = (),
    by: str = REVIEWER,
    settings: ProjectConfig = SETTINGS,
    override: bool = False,
) -> Decided:
    """Decide the same on tasks."""
    rulings = [Ruling(task, "kind", name, labels, "of a test") for task in tasks]
    return decide(
        edge(studio), store, settings, 7, rulings, reviewer=by, now=lambda: studio.now, override=override
    )


def decisions(studio: InMemoryStudio, task: int) -> list[dict[str, Any]]:
    """Annotations of a task that decide it."""
    return [row for row in studio.tasks[task]["annotations"] if decision_in(row["result"])]


def take_back(studio: InMemoryStudio, store: Store, batch: str) -> None:
    """Undo a batch."""
    undo(edge(studio), store, batch, ADMIN, lambda: studio.now)


def test_a_label_is_settled_by_the_next_run(studio: InMemoryStudio, store: Store) -> None:
    """Its item leaves the queue at once; the account that decided is the reviewer's, and it says so."""
    [batch] = rule(studio, store, "accept", WRONG).batches
    assert queued(store, "misclassified") == [DOUBTED]
    [made] = decisions(studio, WRONG)
    assert (made["completed_by"], made["ground_truth"]) == (6, True)
    assert made["result"][0]["value"] == {"choices": ["dog"]}
    assert decision_in(made["result"]) == DecisionMark(batch.batch["id"], teaches=False)
    run_at(studio, store, 1)
    assert report_of(store, WRONG) == {"cat": ("MisClassified", 0), "dog": ("Discovered", 1), "owl": ("", 0)}
    assert queued(store, "misclassified") == [DOUBTED]
    [row] = store.decisions.decisions(7)
    assert (row["verdict"], row["label"], row["decided_by"], row["source"], row["reason"]) == (
        "accepted", "dog", REVIEWER, "consensus", "of a test",
    )  # fmt: skip
    assert row["evidence"]["given"] == ["cat"]


def test_an_undo_opens_the_item_again(studio: InMemoryStudio, store: Store) -> None:
    """With the overlap as it was, and the next run says again what the votes say."""
    before = {key: studio.tasks[WRONG][key] for key in ("overlap", "is_labeled")}
    [batch] = rule(studio, store, "correct", WRONG, labels=("owl",)).batches
    run_at(studio, store, 1)
    take_back(studio, store, batch.batch["id"])
    assert queued(store, "misclassified") == [WRONG, DOUBTED]
    assert {key: studio.tasks[WRONG][key] for key in before} == before
    run_at(studio, store, 2)
    assert report_of(store, WRONG)["dog"][0] == "Discovered"
    assert queued(store, "misclassified") == [WRONG, DOUBTED]
    [again] = rule(studio, store, "correct", WRONG, labels=("owl",)).batches
    assert again.batch["id"] != batch.batch["id"]
    assert again.counts == {"written": 1}


def test_a_given_label_that_is_chosen_is_kept(studio: InMemoryStudio, store: Store) -> None:
    """However it is said."""
    rule(studio, store, "keep", DOUBTED)
    rule(studio, store, "correct", WRONG, labels=("cat",))
    assert [row["verdict"] for row in store.decisions.decisions(7)] == ["confirmed", "confirmed"]
    run_at(studio, store, 1)
    assert report_of(store, DOUBTED)["cat"] == ("AllConfirmed", 1)


def test_many_decisions_are_one_batch(studio: InMemoryStudio, store: Store) -> None:
    """What is not possible is named, and keeps nothing else."""
    decided = rule(studio, store, "accept", WRONG, DOUBTED, TORN, 99)
    assert [batch.counts for batch in decided.batches] == [{"written": 3}]
    assert [(refusal.task, refusal.why) for refusal in decided.refused] == [(99, "the task was deleted")]


def test_only_random_samples_teach(studio: InMemoryStudio, store: Store) -> None:
    """On items chosen because of their votes everybody looks worse than they are."""
    rule(studio, store, "accept", WRONG)
    rule(studio, store, "accept", DOUBTED, settings=RANDOM)
    marks = [decision_in(decisions(studio, task)[0]["result"]) for task in (WRONG, DOUBTED)]
    assert [mark.teaches for mark in marks if mark] == [False, True]


def test_an_audit_teaches(studio: InMemoryStudio, store: Store) -> None:
    """It is a random sample of what was accepted."""
    entry = {"task": SILENT, "control": "kind", "priority": 0.5, "detail": {}}
    store.decisions.refill(7, "audit", [entry], studio.now, "of a test")
    rule(studio, store, "correct", SILENT, labels=("owl",))
    [made] = decisions(studio, SILENT)
    assert decision_in(made["result"]).teaches  # type: ignore[union-attr]


def test_nobody_decides_on_a_task_that_they_annotated(studio: InMemoryStudio, store: Store) -> None:
    """A skip is an annotation too."""
    studio.annotate(SILENT, completed_by=6, was_cancelled=True)
    for by, task in ((A1, WRONG), (REVIEWER, SILENT)):
        [refusal] = rule(studio, store, "keep", task, by=by).refused
        assert refusal.why == f"{by} has annotated the task; somebody else decides on it"
    assert not store.decisions.decisions(7)


def test_the_second_reviewer_is_told(studio: InMemoryStudio, store: Store) -> None:
    """Who, what and when; and overwrites nothing unless that is asked for, which is recorded."""
    rule(studio, store, "accept", WRONG)
    [refusal] = rule(studio, store, "keep", WRONG, by=ADMIN).refused
    assert refusal.why == (
        f"{REVIEWER} has decided at 2026-01-31 12:00 UTC: what was proposed is right (dog); "
        "--override decides again"
    )
    assert len(decisions(studio, WRONG)) == 1
    [batch] = rule(studio, store, "keep", WRONG, by=ADMIN, override=True).batches
    assert [row["ground_truth"] for row in decisions(studio, WRONG)] == [False, True]
    [standing] = store.decisions.standing(7)
    assert standing["evidence"]["overrides"].startswith(REVIEWER)
    run_at(studio, store, 1)
    assert report_of(store, WRONG)["cat"] == ("AllConfirmed", 1)
    take_back(studio, store, batch.batch["id"])
    run_at(studio, store, 2)
    assert report_of(store, WRONG)["dog"] == ("Discovered", 1)


def test_ground_truth_of_a_person_is_told_too(studio: InMemoryStudio, store: Store) -> None:
    """It was made in Label Studio and is in no log of ours."""
    studio.annotate(TORN, [region("kind", "owl")], completed_by=1, ground_truth=True)
    [refusal] = rule(studio, store, "accept", TORN).refused
    assert f"ground truth of {ADMIN}" in refusal.why
    assert "says owl" in refusal.why


@pytest.mark.parametrize(("name", "verdict"), [("unusable", "unusable"), ("reject", "rejected")])
def test_work_on_a_task_ends(studio: InMemoryStudio, store: Store, name: RulingName, verdict: str) -> None:
    """It is shown to nobody more, waits nowhere, and no label is settled; an undo opens it as it was."""
    studio.tasks[TORN].update(overlap=6, is_labeled=False)
    [batch] = rule(studio, store, name, TORN).batches
    assert (studio.tasks[TORN]["overlap"], studio.tasks[TORN]["is_labeled"]) == (4, True)
    assert not decisions(studio, TORN)
    assert [row["verdict"] for row in store.decisions.standing(7)] == [verdict]
    run_at(studio, store, 1)
    assert queued(store, "controversial") == []
    take_back(studio, store, batch.batch["id"])
    assert (studio.tasks[TORN]["overlap"], studio.tasks[TORN]["is_labeled"]) == (6, False)
    assert queued(store, "controversial") == [TORN]


def test_one_more_annotator_is_asked(studio: InMemoryStudio, store: Store) -> None:
    """A finished task is opened again for one; it waits again once the vote has come."""
    rule(studio, store, "ask", TORN)
    assert (studio.tasks[TORN]["overlap"], studio.tasks[TORN]["is_labeled"]) == (5, False)
    run_at(studio, store, 1)
    assert queued(store, "controversial") == []
    studio.annotate(TORN, [region("kind", "owl")], completed_by=1)
    run_at(studio, store, 2)
    assert queued(store, "controversial") == [TORN]
    rule(studio, store, "ask", TORN)
    assert studio.tasks[TORN]["overlap"] == 6


@contextmanager
def failing(studio: InMemoryStudio, route: str) -> Iterator[None]:
    """The connection breaks at a route."""
    studio.faults[route] = httpx.ConnectError("gone")
    yield
    del studio.faults[route]


def test_a_decision_that_was_cut_off_is_made_once(studio: InMemoryStudio, store: Store) -> None:
    """The same again goes on, whether the work or a label is decided."""
    for name, task, route in (("ask", TORN, "PATCH tasks"), ("keep", DOUBTED, "POST annotations")):
        with failing(studio, route), pytest.raises(Exception, match="cannot be reached"):
            rule(studio, store, name, task)  # type: ignore[arg-type]
        resume(edge(studio), store, 7, lambda: studio.now)
        rule(studio, store, name, task)  # type: ignore[arg-type]
    assert studio.tasks[TORN]["overlap"] == 5
    assert len(decisions(studio, DOUBTED)) == 1
    assert not store.decisions.unfinished(7)


def test_a_reviewer_needs_an_account(studio: InMemoryStudio, store: Store) -> None:
    """In that name it is written."""
    with pytest.raises(ConfigError, match=r"'nobody@example.com' has no account"):
        rule(studio, store, "keep", WRONG, by="nobody@example.com")


def test_what_ground_truth_says_of_other_controls_stays(store: Store) -> None:
    """A task has one ground truth: a decision takes the star of another, and what that says with it."""
    made = label_studio(second=True)
    run_at(made, store)
    rule(made, store, "accept", WRONG)
    decide(
        edge(made), store, SETTINGS, 7, [Ruling(WRONG, "size", "correct", ("big",))],
        reviewer=REVIEWER, now=lambda: made.now,
    )  # fmt: skip
    run_at(made, store, 1)
    assert report_of(store, WRONG)["dog"] == ("Discovered", 1)
    assert report_of(store, WRONG, "size")["big"] == ("Discovered", 1)


@pytest.mark.parametrize("control", ["kind", "size"])
def test_labels_imported_as_annotations_stay_given(store: Store, control: str) -> None:
    """A decision takes their star in Label Studio; they are no vote then, and decide no other control."""
    made = label_studio(second=True)
    given = ControlSection(given_annotations=True)
    settings = ProjectConfig(controls={"kind": given, "size": given})
    for task in made.tasks:
        made.annotate(task, [region("kind", "cat"), region("size", "big")], completed_by=1, ground_truth=True)
    run_at(made, store, settings=settings)
    before = report_of(store, WRONG)
    assert before["cat"][0] == "MisClassified"
    label = {"kind": "dog", "size": "small"}[control]
    [batch] = decide(
        edge(made), store, settings, 7, [Ruling(WRONG, control, "correct", (label,))],
        reviewer=REVIEWER, now=lambda: made.now,
    ).batches  # fmt: skip
    run_at(made, store, 1, settings)
    rows = {(row["control"], row["label"]): row for row in store.of_tasks(CLASSIFICATION, 7, [WRONG])}
    assert (rows["kind", "cat"]["given"], rows["size", "big"]["given"]) == (True, True)
    assert (rows["kind", "cat"]["yes"], rows["size", "big"]["yes"]) == (0, 0)
    sizes = {"kind": ("NoVotes", ""), "size": ("MisClassified", "Discovered")}[control]
    assert (rows["size", "big"]["report"], rows["size", "small"]["report"] if control == "size" else "") == sizes
    take_back(made, store, batch.batch["id"])
    run_at(made, store, 2, settings)
    assert report_of(store, WRONG) == before


@pytest.mark.parametrize("machine", [MACHINE_ACCOUNT, A1])
def test_a_machine_reviews_nothing(studio: InMemoryStudio, store: Store, machine: str) -> None:
    """Neither the account of consensus nor one that the settings name decides as a person."""
    studio.accounts[99] = MACHINE_ACCOUNT
    settings = SETTINGS.model_copy(update={"machines": [A1]})
    with pytest.raises(ConfigError, match="is a machine account"):
        rule(studio, store, "accept", SILENT, by=machine, settings=settings)

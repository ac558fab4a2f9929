"""What Label Studio holds of MisClassified: the label that the votes prefer, and why."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from in_memory_label_studio import NOW, InMemoryStudio, Json, choices, config, region

from common.contract import Accusation, accusation_in, words_in
from consensus.core.decide.writeback import Entry, Written, difference
from consensus.label_studio import Studio
from consensus.projects.run import Outcome, run
from consensus.settings import ProjectConfig
from consensus.store.columns import Row, as_rows
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION

KIND = choices("kind", "cat", "dog", "owl")
TRAITS = choices("traits", "fur", "wings", "fins", choice="multiple")
CHECK = choices("check", "Yes", "No", "Unsure")
SHOWN = '<Text name="shown" value="$label"/>'


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.migrated(f"sqlite:///{tmp_path}/store.db")


def studio(control: str, given: object, *votes: Sequence[str], right: Sequence[str]) -> InMemoryStudio:
    """Nine tasks on which all agree with what is given, and task 10 with these votes."""
    name = control.split('"')[1]
    made = InMemoryStudio(config(control) if name != "check" else config(SHOWN, control))
    for number in range(1, 11):
        made.add_task({"image": "i", "label": given}, task_id=number)
        for account, vote in enumerate(votes, start=1):
            made.annotate(number, [region(name, *(vote if number == 10 else right))], completed_by=account)
    return made


def once(made: InMemoryStudio, store: Store, at: datetime = NOW) -> Outcome:
    """One run."""
    edge = Studio(made.client(), "of a test", lambda _: None)
    return run(edge, store, ProjectConfig(), 7, now=lambda: at)


def accused(made: InMemoryStudio) -> Json:
    """The one prediction of MisClassified."""
    [only] = [row for row in made.predictions if row["model_version"] == "consensus/MisClassified"]
    return only


def test_the_leading_label_is_shown_and_the_wrong_one_named(store: Store) -> None:
    """Accepting it writes what the votes prefer; the score is the confidence in that, and the words say why."""
    made = studio(KIND, "cat", ["dog"], ["dog"], ["dog"], ["owl"], right=["cat"])
    once(made, store)
    row = accused(made)
    [stored] = store.proposals(7)
    assert row["result"][0]["value"] == {"choices": ["dog"]}
    assert row["score"] == pytest.approx(stored["proposed_confidence"], abs=1e-6)
    assert accusation_in(row["result"]) == Accusation("cat", round(stored["confidence"], 6))
    votes, weights = words_in(row["result"])
    assert votes == "given cat; of 4 votes 3 say dog, 0 say cat"
    assert weights == f"weighted by trust: dog {stored['proposed_posterior']:.2f}, cat {stored['posterior']:.2f}"
    assert (stored["task"], stored["label"], stored["proposed"]) == (10, "cat", ["dog"])
    assert stored["proposed_posterior"] > 0.75
    assert stored["posterior"] < 0.2


def test_of_a_multiple_choice_all_right_labels_are_shown(store: Store) -> None:
    """What was given and is wrong is left out; accepting it settles both."""
    made = studio(TRAITS, ["fur", "wings"], *[["fur", "fins"]] * 4, right=["fur", "wings"])
    once(made, store)
    row = accused(made)
    assert sorted(row["result"][0]["value"]["choices"]) == ["fins", "fur"]
    assert words_in(row["result"])[0].startswith("given wings; of 4 votes")
    made.annotate(10, row["result"], parent_prediction=row["id"], completed_by=9)
    once(made, store)
    settled = {row["label"]: row["posterior"] for row in rows_of(store, 10)}
    assert settled == {"fur": 1, "wings": 0, "fins": 1}


def test_nothing_else_may_be_right(store: Store) -> None:
    """Then no choice is shown, and which label is wrong is said all the same."""
    made = studio(TRAITS, ["wings"], *[[]] * 4, right=["wings"])
    for task in made.tasks.values():
        for annotation in task["annotations"]:
            annotation["result"] = [part for part in annotation["result"] if part["value"]["choices"]]
    once(made, store)
    row = accused(made)
    wrong = accusation_in(row["result"])
    assert (row["result"][0]["value"], row["score"]) == ({"choices": []}, 0)
    assert wrong is not None
    assert wrong.label == "wings"
    assert store.proposals(7)[0]["proposed"] == []
    assert once(made, store).changes.empty


def test_a_refuted_label_of_a_verification_shows_no(store: Store) -> None:
    """With the confidence that this is right."""
    made = studio(CHECK, "lynx", *[["No"]] * 4, right=["Yes"])
    once(made, store)
    row = accused(made)
    wrong = accusation_in(row["result"])
    assert row["result"][0]["value"] == {"choices": ["No"]}
    assert row["score"] >= 0.8
    assert wrong is not None
    assert (wrong.label, wrong.confidence < 0.2) == ("lynx", True)
    assert words_in(row["result"])[0] == "given lynx; of 4 votes 4 say no"
    assert [(each["label"], each["proposed"]) for each in store.proposals(7)] == [("lynx", [])]


def test_what_an_older_version_wrote_is_written_anew(store: Store) -> None:
    """It showed the wrong label; afterwards nothing is left to do."""
    made = studio(KIND, "cat", *[["dog"]] * 4, right=["cat"])
    once(made, store)
    row = accused(made)
    row["result"][0]["value"]["choices"], row["result"][0]["meta"] = ["cat"], {}
    assert [entry.choice for entry in once(made, store).changes.create] == ["dog"]
    assert once(made, store).changes.empty


@pytest.mark.parametrize(
    ("change", "updated"),
    [
        ({"score": 0.903, "why": ("4 say dog", "dog 0.96")}, False),
        ({"why": ("5 say dog", "dog 0.95")}, True),
        ({"accusation": Accusation("cat", 0.06)}, True),
        ({"score": float("nan")}, True),
    ],
)
def test_an_entry_is_updated_where_it_says_something_else(change: dict[str, Any], *, updated: bool) -> None:
    """Other votes, or a confidence that moved; what they weigh moves a little with each vote on any task."""
    said: dict[str, Any] = {"task": 1, "report": "MisClassified", "control": "kind", "choice": "dog", "score": 0.9}
    wanted = Entry(**said, accusation=Accusation("cat", 0.02), why=("4 say dog", "dog 0.95"))
    there = Entry(**{**vars(wanted), **change})
    changes = difference([wanted], [Written(5, there)])
    assert (bool(changes.update), changes.create, changes.delete) == (updated, [], [])


def rows_of(store: Store, task: int) -> list[Row]:
    """Classifications of a task."""
    return [row for row in as_rows(store.columns(CLASSIFICATION, 7)) if row["task"] == task]

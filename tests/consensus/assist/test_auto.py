"""Auto-annotation: what is sure enough is annotated, the rest waits for people."""

from pathlib import Path
from typing import Any

import pytest
from in_memory_label_studio import config, region
from made_projects import KINDS, OWNER, PROJECT, InMemoryProject

from consensus.assist.auto import AutoOutcome, auto, gaps
from consensus.assist.auto_rules import AutoFile, read_auto
from consensus.assist.undo import undo
from consensus.errors import ConfigError
from consensus.projects.run import run
from consensus.settings import ProjectConfig
from consensus.store.store import Store

RULES = AutoFile.model_validate({"accept_above": 0.8, "review_below": 0.6, "audit_share": 0.0})
BOXES = config(
    '<RectangleLabels name="box" toName="image"><Label value="cat"/><Label value="dog"/></RectangleLabels>'
)


def made_of(*scores: float, label_config: str = KINDS) -> InMemoryProject:
    """Tasks with a suggestion each."""
    made = InMemoryProject(tasks=0)
    made.server.project["label_config"] = label_config
    for number, score in enumerate(scores):
        suggestion = {"model_version": "m1", "result": [region("kind", "cat", score=score)], "score": score}
        made.server.add_task({"image": "x.png"}, predictions=[suggestion], task_id=101 + number)
        made.tasks.append(101 + number)
    return made


def done(made: InMemoryProject, store: Store, rules: AutoFile = RULES, **options: Any) -> AutoOutcome:  # noqa: ANN401
    """What a look does."""
    return auto(made.studio, store, ProjectConfig(), rules, PROJECT, made.now, **options)


def box(label: str, score: float | None, number: int) -> dict[str, Any]:
    """A region that is drawn."""
    value = {"x": number, "y": 0, "width": 5, "height": 5, "rotation": 0, "rectanglelabels": [label]}
    scored = {} if score is None else {"score": score}
    place = {"id": f"b{number}", "from_name": "box", "to_name": "image", "type": "rectanglelabels"}
    return {**place, "value": value, **scored}


def test_scores_decide(store: Store) -> None:
    """Above the line an annotation, else a place in the queue, the surest first; a gap is named."""
    made = made_of(0.9, 0.8, 0.7, 0.5)
    outcome = done(made, store)
    assert made.written(outcome.performed.batch["id"] if outcome.performed else "") == [101]
    queued = store.decisions.queue(PROJECT, "pending")
    assert [(row["task"], row["detail"]["band"]) for row in queued] == [
        (102, "between"),
        (103, "between"),
        (104, "below"),
    ]
    assert list(gaps(outcome, RULES)) == [
        "kind: cat: 2 between 0.6 and 0.8 are neither accepted nor refused, and wait for people"
    ]
    decision = store.decisions.decisions(PROJECT)[0]
    assert (decision["verdict"], decision["source"], decision["model_version"]) == ("accepted", "suggestion", "m1")


def test_a_second_look_does_nothing(store: Store) -> None:
    """Until something comes; tasks that are named are looked at alone."""
    made = made_of(0.9, 0.7)
    done(made, store)
    made.server.requests.clear()
    assert done(made, store).performed is None
    assert made.server.writes == []
    for task in (201, 202):
        suggestion = {"model_version": "m1", "result": [region("kind", "dog", score=0.95)], "score": 0.95}
        made.server.add_task({"image": "x.png"}, predictions=[suggestion], task_id=task)
    outcome = done(made, store, tasks=[202])
    assert [item["task"] for item in outcome.accepted] == [202]
    assert [row["task"] for row in store.decisions.queue(PROJECT, "pending")] == [102]
    assert [item["task"] for item in done(made, store).accepted] == [201]


def test_what_people_had_is_theirs(store: Store) -> None:
    """A vote and a skip keep a task out, and off the queue."""
    made = made_of(0.9, 0.9, 0.7)
    done(made, store, tasks=[103])
    made.server.annotate(101, [region("kind", "dog")], completed_by=2)
    made.server.annotate(102, completed_by=2, was_cancelled=True)
    made.server.annotate(103, [region("kind", "dog")], completed_by=2)
    outcome = done(made, store)
    assert (outcome.accepted, outcome.pending) == ([], [])
    assert store.decisions.queue(PROJECT, "pending") == []


def test_what_was_taken_back_stays_so(store: Store) -> None:
    """It waits for people instead."""
    made = made_of(0.9)
    outcome = done(made, store)
    assert outcome.performed is not None
    undo(made.studio, store, outcome.performed.batch["id"], OWNER, made.now)
    again = done(made, store)
    assert (again.accepted, [entry["task"] for entry in again.pending]) == ([], [101])


def test_a_dry_run_sends_and_stores_nothing(store: Store) -> None:
    """It tells the same."""
    made = made_of(0.9, 0.7)
    outcome = done(made, store, dry_run=True)
    assert (len(outcome.accepted), len(outcome.pending)) == (1, 1)
    assert made.server.writes == []
    assert store.decisions.queue(PROJECT) == []


def test_sure_regions_are_drawn_and_the_others_wait(store: Store) -> None:
    """Each by its own score and its label's lines; a task of which something waits stays open."""
    made = made_of(label_config=BOXES)
    drawn = {
        101: [box("cat", 0.9, 1), box("dog", 0.9, 2)],
        102: [box("cat", 0.9, 1), box("cat", 0.7, 2), box("dog", None, 3)],
        103: [box("dog", 0.85, 1)],
    }
    for task, regions in drawn.items():
        made.server.add_task(
            {"image": "x.png"}, predictions=[{"model_version": "m1", "result": regions}], task_id=task
        )
    rules = AutoFile.model_validate({"accept_above": 0.8, "labels": {"dog": {"accept_above": 0.88}}})
    outcome = done(made, store, rules)
    ids = {task: [row["id"] for each in made.annotations(task) for row in each["result"]] for task in drawn}
    assert ids == {101: ["b1", "b2"], 102: ["b1"], 103: []}
    assert [made.state()[task][:2] for task in drawn] == [(1, True), (2, False), (1, False)]
    queued = {row["task"]: row["detail"] for row in store.decisions.queue(PROJECT, "pending")}
    assert {task: (detail["regions"], detail["accepted"]) for task, detail in queued.items()} == {
        102: (2, 1),
        103: (1, 0),
    }
    assert done(made, store, rules).accepted == []
    assert {row["task"] for row in store.decisions.queue(PROJECT, "pending")} == {102, 103}
    assert outcome.performed is not None
    undo(made.studio, store, outcome.performed.batch["id"], OWNER, made.now)
    assert not any(made.annotations(task) for task in drawn)
    assert [made.state()[task][:2] for task in drawn] == [(1, False)] * 3


def test_another_backends_predictions_are_taken(store: Store) -> None:
    """By the version that the rules name; one that is not there is named."""
    made = made_of(0.7)
    made.server.predict(101, "other", [region("kind", "dog", score=0.99)])
    rules = AutoFile.model_validate({"accept_above": 0.8, "source": "prediction", "version": "other"})
    assert [item["labels"] for item in done(made, store, rules).accepted] == [["dog"]]
    assert store.decisions.decisions(PROJECT)[0]["source"] == "prediction"
    with pytest.raises(ConfigError, match="it has m1, other"):
        done(made, store, rules.model_copy(update={"version": "another"}))


def test_what_the_votes_confirm_becomes_ground_truth_where_that_is_asked_for(store: Store) -> None:
    """In the name of the machine, which teaches nothing; a star of somebody else's stays."""
    made = InMemoryProject.judged(people=20, waiting=2, wrong=0)
    run(made.studio, store, ProjectConfig(), PROJECT, now=made.now)
    made.server.annotate(102, [region("kind", "dog")], completed_by=2, ground_truth=True)
    made.later()
    rules = AutoFile.model_validate({"source": "consensus", "ground_truth": True, "accept_above": 0.5})
    outcome = done(made, store, rules)
    assert outcome.performed is not None
    assert outcome.performed.counts == {"written": 19, "left": 1}
    truths = {task for task in made.tasks for row in made.annotations(task) if row["ground_truth"]}
    assert truths == set(made.tasks[:20])
    assert [row["completed_by"] for row in made.annotations(102) if row["ground_truth"]] == [2]
    trust = [row["trust"] for row in store.annotators(store.needed_run(PROJECT)["id"])]
    made.later()
    run(made.studio, store, ProjectConfig(), PROJECT, now=made.now)
    assert [row["trust"] for row in store.annotators(store.needed_run(PROJECT)["id"])] == pytest.approx(
        trust, abs=0.02
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("accept_above = 0.5\nreview_below = 0.6", "review_below 0.6 is above accept_above 0.5"),
        ("accept_above = 0.8\n[labels.cat]\nreview_below = 0.9", "label 'cat': review_below 0.9"),
        ("accept_above = 2", "accept_above"),
        ("accept_over = 0.5", "accept_over"),
        ('source = "prediction"', "names a version"),
        ('source = "consensus"', "ground_truth = true"),
        ("accept_above = ", "no TOML"),
    ],
)
def test_rules_that_cannot_be_are_named(tmp_path: Path, text: str, named: str) -> None:
    """With their place; a file that is not there is named as well."""
    path = tmp_path / "auto.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=named):
        read_auto(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_auto(tmp_path / "none.toml")


def test_what_consensus_has_predicted_is_no_suggestion(store: Store) -> None:
    """A rules file that names it, or a project that shows it, would accept reports for a model's word."""
    made = made_of(0.9)
    prediction = {"model_version": "consensus/AllConfirmed", "result": [region("kind", "cat", score=0.9)]}
    made.server.add_task({"image": "y.png"}, predictions=[{**prediction, "score": 0.9}], task_id=102)
    named = AutoFile.model_validate({"source": "prediction", "version": "consensus/AllConfirmed"})
    with pytest.raises(ConfigError, match="no prediction of version 'consensus/AllConfirmed'; it has m1"):
        done(made, store, named)
    made.server.project["model_version"] = "consensus/AllConfirmed"
    with pytest.raises(ConfigError, match="no prediction of version 'consensus/AllConfirmed'; it has m1"):
        done(made, store)


def test_lines_of_a_label_that_is_not_there_are_refused(store: Store) -> None:
    """As where its name is misspelled, so that others would hold; where labels come with the tasks, none are."""
    made = made_of(0.9)
    misspelled = AutoFile.model_validate({"accept_above": 0.5, "labels": {"Cat": {"accept_above": 0.99}}})
    with pytest.raises(ConfigError, match=r"'Cat', which project 7 does not offer; it has cat, dog, fur, owl"):
        done(made, store, misspelled)
    assert made.server.writes == []
    made.server.project["label_config"] = KINDS.replace(
        "</View>", '<Choices name="more" toName="image" value="$options"/></View>'
    )
    assert len(done(made, store, misspelled).accepted) == 1

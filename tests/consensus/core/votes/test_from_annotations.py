"""From annotations to votes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from common.contract import Accusation
from common.label_studio.label_config import ChoicesTag, Condition
from consensus.core.votes.collected import Collected, collect, in_columns
from consensus.core.votes.controls import Control
from consensus.core.votes.from_annotations import Annotation, Task, VoteRow, rows_of
from consensus.core.votes.votes import NO, NO_LABEL, UNSURE, YES

KIND = Control(ChoicesTag("kind", "image", multiple=False, labels=("cat", "dog", "owl")), "choices", given="given")
TRAITS = Control(ChoicesTag("traits", "image", multiple=True, labels=("fur", "wings", "fins")), "choices")
CHECK = Control(
    ChoicesTag("check", "image", multiple=False, labels=("Right", "Wrong", "Can't tell")),
    "verification",
    given="given",
    candidates="maybe",
    answers={"Right": "yes", "Wrong": "no", "Can't tell": "unsure"},
)
SKIPPED = object()


def annotation(number: int, who: str, *choices: str | object, control: str = "kind", **more: Any) -> Annotation:  # noqa: ANN401
    """An annotation that makes some choices in one region, or skips."""
    chosen = [choice for choice in choices if choice is not SKIPPED]
    region = {"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": chosen}}
    return Annotation(
        id=number,
        annotator=who,
        updated_at=more.pop("at", "2026-01-01T00:00:00Z"),
        skipped=SKIPPED in choices,
        ground_truth=more.pop("gold", False),
        result=more.pop("result", [region] if chosen else []),
        **more,
    )


def votes_in(collected: Collected) -> list[tuple[str, str, str | None, int]]:
    """The votes by name: task, annotator, label (None: no label), stand."""
    votes = collected.votes
    return [
        (
            str(votes.task_names[votes.task[row]]),
            str(votes.annotator_names[votes.annotator[row]]),
            None if votes.label[row] == NO_LABEL else str(votes.label_names[votes.label[row]]),
            int(votes.vote[row]),
        )
        for row in range(len(votes))
    ]


def known(rows: Any, flags: Sequence[bool], collected: Collected) -> list[tuple[str, str, bool]]:  # noqa: ANN401
    """Listed or gold rows by name."""
    votes = collected.votes
    return [
        (str(votes.task_names[task]), str(votes.label_names[label]), bool(flag))
        for task, label, flag in zip(rows.task, rows.label, flags, strict=True)
    ]


def test_a_single_choice_is_a_yes_to_the_label_chosen() -> None:
    """Each annotation is one row, and it knows the annotation behind it."""
    task = Task(7, {"given": "cat"}, [annotation(1, "a1", "cat"), annotation(2, "a2", "dog")])
    got = collect([task], KIND)
    assert votes_in(got) == [("7", "a1", "cat", YES), ("7", "a2", "dog", YES)]
    assert got.submissions.annotation.tolist() == [1, 2]
    assert got.votes.label_names.tolist() == ["cat", "dog", "owl"]
    assert got.votes.choice == "single"
    assert known(got.listed, got.listed.given, got) == [("7", "cat", True)]
    assert got.problems == []


def test_a_multiple_choice_is_a_yes_to_each_label_chosen_once() -> None:
    """Labels in one region or in several, repeated or not, are one row each."""
    result = [
        {"from_name": "traits", "type": "choices", "value": {"choices": ["fur", "fins"]}},
        {"from_name": "traits", "type": "choices", "value": {"choices": ["fur"]}},
        {"from_name": "note", "type": "textarea", "value": {"text": ["x"]}},
    ]
    got = collect([Task(7, {}, [annotation(1, "a1", result=result)])], TRAITS)
    assert votes_in(got) == [("7", "a1", "fur", YES), ("7", "a1", "fins", YES)]
    assert got.submissions.annotation.tolist() == [1, 1]


def test_a_skip_is_unsure_and_none_of_several_labels_is_no_to_all() -> None:
    """Neither names a label; one says nothing, the other turns all labels down."""
    task = Task(7, {}, [annotation(1, "a1", SKIPPED), annotation(2, "a2")])
    assert votes_in(collect([task], TRAITS)) == [("7", "a1", None, UNSURE), ("7", "a2", None, NO)]


@pytest.mark.parametrize("control", [KIND, CHECK])
def test_a_blank_is_no_answer(control: Control) -> None:
    """Who submits a task but leaves a single choice or a verification blank has no vote on it."""
    task = Task(7, {"given": "cat"}, [annotation(1, "a1")])
    assert votes_in(collect([task], control)) == []


def test_a_skip_is_unsure_whatever_was_chosen_before() -> None:
    """What a skipped annotation holds does not count."""
    task = Task(7, {}, [annotation(1, "a1", "cat", SKIPPED)])
    assert votes_in(collect([task], KIND)) == [("7", "a1", None, UNSURE)]


def test_the_latest_annotation_of_an_annotator_and_task_counts() -> None:
    """By the time of the last change, then by id; another task is another vote."""
    tasks = [
        Task(
            7,
            {},
            [
                annotation(1, "a1", "dog", at="2026-01-03T00:00:00Z"),
                annotation(2, "a1", "cat", at="2026-01-02T00:00:00Z"),
                annotation(4, "a2", "owl"),
                annotation(3, "a2", "cat"),
            ],
        ),
        Task(8, {}, [annotation(5, "a1", "owl")]),
    ]
    got = collect(tasks, KIND)
    assert sorted(votes_in(got)) == [("7", "a1", "dog", YES), ("7", "a2", "owl", YES), ("8", "a1", "owl", YES)]


def test_a_deleted_annotation_has_no_vote() -> None:
    """Who is not among the annotations any more is not among the annotators."""
    got = collect([Task(7, {"given": "cat"}, [])], KIND)
    assert votes_in(got) == []
    assert got.votes.annotator_names.tolist() == []
    assert known(got.listed, got.listed.given, got) == [("7", "cat", True)]


def test_machines_never_vote() -> None:
    """Accounts named as machines have no vote."""
    task = Task(7, {}, [annotation(1, "a1", "cat"), annotation(2, "robot", "dog")])
    assert votes_in(collect([task], KIND, machines=["robot"])) == [("7", "a1", "cat", YES)]


def test_ground_truth_is_gold_and_no_vote() -> None:
    """The latest ground truth of all accounts is gold; its maker's own vote stays."""
    task = Task(
        7,
        {},
        [
            annotation(1, "a1", "cat"),
            annotation(2, "a1", "dog", gold=True),
            annotation(3, "a2", "owl", gold=True, at="2026-02-01T00:00:00Z"),
        ],
    )
    got = collect([task], KIND)
    assert votes_in(got) == [("7", "a1", "cat", YES)]
    assert known(got.gold, got.gold.right, got) == [("7", "owl", True)]


SETTLES = [{"gold": True}, {"gold": True, "teaches": False}, {"from_report": True}, {"changed_by": "a9"}]


@pytest.mark.parametrize("how", SETTLES)
@pytest.mark.parametrize(
    ("control", "choice", "settled"),
    [
        (KIND, "dog", [("7", "dog", True)]),
        (TRAITS, "fur", [("7", "fur", True), ("7", "wings", False), ("7", "fins", False)]),
        (CHECK, "Wrong", [("7", "cat", False)]),
    ],
)
def test_a_decision_settles_and_is_no_vote(
    how: dict[str, Any], control: Control, choice: str, settled: list[tuple[str, str, bool]]
) -> None:
    """Only ground truth that teaches is gold as well; everybody's own vote stays, and what is right is listed.

    Who accepts a report says nothing of the labels that it is not about.
    """
    settled = settled[:1] if "from_report" in how else settled
    name, voted = control.tag.name, control.tag.labels[0]
    votes = [annotation(1, "a1", voted, control=name), annotation(2, "a2", voted, control=name)]
    decided = annotation(3, "a1", choice, control=name, at="2026-02-01T00:00:00Z", **how)
    data = {"given": "cat"}
    got, before = (collect([Task(7, data, each)], control) for each in ([*votes, decided], votes))
    assert votes_in(got) == votes_in(before)
    assert known(got.settled, got.settled.right, got) == settled
    assert known(got.gold, got.gold.right, got) == (settled if how == {"gold": True} else [])
    listed = {label for _, label, _ in known(got.listed, got.listed.given, got)}
    assert listed >= {label for _, label, right in settled if right}


def test_of_several_decisions_the_latest_counts_and_ground_truth_before_all() -> None:
    """A decision that says nothing of the control leaves it to the one before it."""
    early, late, latest = (f"2026-0{month}-01T00:00:00Z" for month in (2, 3, 4))
    taken = annotation(1, "a1", "cat", from_report=True, at=early)
    changed = annotation(2, "a2", "dog", changed_by="a9", at=late)
    skipped = annotation(3, "a3", SKIPPED, from_report=True, at=latest)
    starred = annotation(4, "a4", "owl", gold=True)
    for annotations, label in (([taken, changed, skipped], "dog"), ([taken, starred, changed], "owl")):
        got = collect([Task(7, {}, annotations)], KIND)
        assert known(got.settled, got.settled.right, got) == [("7", label, True)]


def test_a_decision_that_is_not_starred_any_more_says_nothing() -> None:
    """It is no vote of whoever decided either; and what a machine changes, or takes over, decides nothing."""
    undone = annotation(1, "a1", "cat", is_decision=True)
    by_machine = annotation(2, "a2", "dog", changed_by="robot")
    taken = annotation(3, "robot", "dog", from_report=True)
    got = collect([Task(7, {}, [undone, by_machine, taken])], KIND, machines=["robot"])
    assert (votes_in(got), len(got.settled.task)) == ([], 0)


@pytest.mark.parametrize(
    ("how", "wrong"),
    [
        ({"from_report": True, "accusation": Accusation("fur", 0.02)}, ["fur"]),
        ({"gold": True, "is_decision": True}, ["fur", "wings", "fins"]),
    ],
)
def test_a_blank_beside_the_control_that_is_decided_decides_nothing(how: dict[str, Any], wrong: list[str]) -> None:
    """A report, and a decision that consensus wrote, have a region for the control that they are about."""
    about_kind = annotation(1, "a1", "cat", **how)
    none_fits = annotation(2, "a1", result=[{"from_name": "traits", "value": {"choices": []}}], **how)
    got, none = (collect([Task(7, {}, [each])], TRAITS) for each in (about_kind, none_fits))
    assert len(got.settled.task) == 0
    assert known(none.settled, none.settled.right, none) == [("7", label, False) for label in wrong]


def test_where_ground_truth_gives_the_label_a_decision_settles_it() -> None:
    """What was written to decide is told from what the task came with."""
    control = replace(KIND, given=None, given_annotations=True)
    given = annotation(1, "a1", "cat", gold=True, at="2026-02-01T00:00:00Z")
    decided = annotation(2, "a2", "dog", gold=True, is_decision=True, teaches=False)
    got = collect([Task(7, {}, [given, decided])], control)
    assert known(got.listed, got.listed.given, got) == [("7", "cat", True), ("7", "dog", False)]
    assert known(got.settled, got.settled.right, got) == [("7", "dog", True)]


@pytest.mark.parametrize(
    ("choice", "voted", "settled"),
    [("dog", "cat", [("7", "dog", True)]), ("cat", "cat", []), ("dog", "lynx", [("7", "dog", True)])],
)
def test_a_changed_annotation_stays_the_vote_that_it_was(
    choice: str, voted: str, settled: list[tuple[str, str, bool]]
) -> None:
    """Unless it was a vote on a label that there is no more; what was changed back decides nothing."""
    changed = annotation(1, "a1", choice, changed_by="a9", at="2026-02-01T00:00:00Z")
    own = {1: [VoteRow(voted, "a1 before", 1, 1, "2026-01-01T00:00:00Z", 2.5, None, None)]}
    got = in_columns(KIND, {7: rows_of(Task(7, {}, [changed]), KIND, own_votes=own)})
    assert votes_in(got) == ([("7", "a1", "cat", YES)] if voted == "cat" else [])
    assert got.submissions.voted_at.tolist() == ["2026-01-01T00:00:00Z"] * len(got.votes)
    assert known(got.settled, got.settled.right, got) == settled


def test_a_later_annotation_of_the_same_author_is_the_vote() -> None:
    """What a changed annotation was counts from when it was said."""
    changed = annotation(1, "a1", "dog", changed_by="a9", at="2026-03-01T00:00:00Z")
    later = annotation(2, "a1", "owl", at="2026-02-01T00:00:00Z")
    own = {1: [VoteRow("cat", "a1", 1, 1, "2026-01-01T00:00:00Z", None, None, None)]}
    rows = rows_of(Task(7, {}, [changed, later]), KIND, own_votes=own)
    assert [(row.label, row.annotation) for row in rows.votes] == [("owl", 2)]


def test_gold_of_a_multiple_choice_says_what_is_wrong_as_well() -> None:
    """Labels not chosen in a ground truth are known to be wrong; with none chosen, all of them."""
    tasks = [
        Task(7, {}, [annotation(1, "a1", "fur", control="traits", gold=True)]),
        Task(8, {}, [annotation(2, "a1", control="traits", gold=True)]),
    ]
    got = collect(tasks, TRAITS)
    assert known(got.gold, got.gold.right, got) == [
        ("7", "fur", True), ("7", "wings", False), ("7", "fins", False),
        ("8", "fur", False), ("8", "wings", False), ("8", "fins", False),
    ]  # fmt: skip
    assert votes_in(got) == []


def test_a_skipped_ground_truth_teaches_nothing() -> None:
    """Unsure is no knowledge."""
    got = collect([Task(7, {}, [annotation(1, "a1", SKIPPED, gold=True)])], KIND)
    assert (len(got.gold.task), len(got.votes)) == (0, 0)


def test_a_verification_votes_on_the_given_label_alone() -> None:
    """The words of the control are turned into yes, no and unsure; a skip is unsure, too."""
    choices = [("a1", "Right"), ("a2", "Wrong"), ("a3", "Can't tell"), ("a4", SKIPPED)]
    annotations = [annotation(row, who, choice, control="check") for row, (who, choice) in enumerate(choices)]
    task = Task(7, {"given": "lynx"}, annotations)
    got = collect([task], CHECK)
    assert [(who, label, vote) for _, who, label, vote in votes_in(got)] == [
        ("a1", "lynx", YES), ("a2", "lynx", NO), ("a3", "lynx", UNSURE), ("a4", "lynx", UNSURE),
    ]  # fmt: skip
    assert got.votes.choice == "each"


def test_gold_of_a_verification_is_right_or_wrong() -> None:
    """A ground truth of yes makes the given label right, one of no makes it wrong."""
    tasks = [
        Task(7, {"given": "lynx"}, [annotation(1, "a1", "Right", control="check", gold=True)]),
        Task(8, {"given": "puma"}, [annotation(2, "a1", "Wrong", control="check", gold=True)]),
    ]
    got = collect(tasks, CHECK)
    assert known(got.gold, got.gold.right, got) == [("7", "lynx", True), ("8", "puma", False)]


def test_candidates_are_listed_but_not_given() -> None:
    """A candidate that is given as well is listed once, as given."""
    got = collect([Task(7, {"given": "lynx", "maybe": ["puma", "lynx"]})], CHECK)
    assert known(got.listed, got.listed.given, got) == [("7", "lynx", True), ("7", "puma", False)]


CAT = annotation(2, "a2", "cat")
BROKEN_GIVEN: list[tuple[Task, str]] = [
    (Task(7, {"given": "cow"}, [CAT]), "'given' holds 'cow', which is no choice of control 'kind'"),
    (Task(7, {"given": {"a": 1}}, [CAT]), "'given' holds {'a': 1}; use a label or a list"),
    (Task(7, {"given": {"a": 1}}, [CAT]), "'given' holds {'a': 1}; use a label or a list"),
]
BROKEN: list[tuple[Control, Task, str]] = [
    (KIND, Task(7, {}, [CAT, annotation(1, "a1", "cow")]), "annotation 1 chose 'cow'"),
    (KIND, Task(7, {}, [CAT, annotation(1, "a1", result=[{"from_name": "kind"}])]), "annotation 1 has a region"),
    (KIND, Task(7, {}, [CAT, annotation(1, "a1", result=[{"from_name": "kind", "value": []}])]), "annotation 1"),
    (
        KIND,
        Task(7, {}, [CAT, annotation(1, "a1", result=[{"from_name": "kind", "value": {"choices": "cat"}}])]),
        "annotation 1 has a region on 'kind' without choices",
    ),
    (KIND, Task(7, {}, [CAT, annotation(1, "a1", result=["kind"])]), "annotation 1 has a region that is none"),
    (KIND, Task(7, {}, [CAT, annotation(1, "a1", result={"from_name": "kind"})]), "annotation 1 has a region"),
    (KIND, Task(7, {}, [CAT, annotation(1, "a1", result=[None])]), "annotation 1 has a region that is none"),
    (KIND, Task(7, {}, [CAT, annotation(1, "a1", "cow", gold=True)]), "annotation 1 chose 'cow'"),
]


@pytest.mark.parametrize(("control", "task", "what"), BROKEN)
def test_an_annotation_that_cannot_be_read_is_named_and_the_others_go_on(
    control: Control, task: Task, what: str
) -> None:
    """Nothing of it is left in votes or gold; the other annotation of its task and the tasks around are whole."""
    before = Task(6, {"given": "cat"}, [annotation(10, "a1", "cat")])
    after = Task(8, {"given": "cat"}, [annotation(11, "a5", "cat")])
    got = collect([before, replace(task, data={"given": "dog"}), after], control)
    assert [problem.task for problem in got.problems] == [7]
    assert what in got.problems[0].what
    assert [(task, who) for task, who, _, _ in votes_in(got)] == [("6", "a1"), ("7", "a2"), ("8", "a5")]
    assert len(got.gold.task) == 0
    assert known(got.listed, got.listed.given, got) == [("6", "cat", True), ("7", "dog", True), ("8", "cat", True)]


def test_each_annotation_that_cannot_be_read_is_a_problem_of_its_own() -> None:
    """Two of one task are named both."""
    task = Task(7, {}, [annotation(1, "a1", "cow"), CAT, annotation(3, "a3", "yak")])
    got = collect([task], KIND)
    assert [(problem.task, problem.what[:19]) for problem in got.problems] == [
        (7, "annotation 1 chose "), (7, "annotation 3 chose "),
    ]  # fmt: skip
    assert votes_in(got) == [("7", "a2", "cat", YES)]


def test_an_unreadable_annotation_is_not_replaced_by_an_earlier_one() -> None:
    """Whoever changed a vote to what cannot be read has no vote; the earlier one was taken back."""
    later = annotation(2, "a1", "cow", at="2026-02-01T00:00:00Z")
    got = collect([Task(7, {}, [annotation(1, "a1", "cat"), later])], KIND)
    assert (votes_in(got), len(got.problems)) == ([], 1)


@pytest.mark.parametrize(("task", "what"), BROKEN_GIVEN)
def test_a_given_label_that_cannot_be_read_leaves_the_votes(task: Task, what: str) -> None:
    """It is named and not listed; who chose a label chose it."""
    got = collect([task, Task(8, {"given": "owl"})], KIND)
    assert [problem.task for problem in got.problems] == [7]
    assert what in got.problems[0].what
    assert votes_in(got) == [("7", "a2", "cat", YES)]
    assert known(got.listed, got.listed.given, got) == [("8", "owl", True)]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({"given": ["lynx", "puma"]}, "holds 2 labels; a verification is about one"),
        ({"given": {"a": 1}, "maybe": "puma"}, "'given' holds {'a': 1}; use a label"),
        ({}, "annotation 1 verifies a given label, but task 7 has none"),
    ],
)
def test_a_verification_task_without_a_readable_given_label_is_left_out(
    data: dict[str, object], what: str
) -> None:
    """Nobody knows what its annotator said yes to."""
    tasks = [
        Task(number, given, [annotation(who, f"a{who}", "Right", control="check")])
        for who, (number, given) in enumerate([(7, data), (8, {"given": "lynx"})], start=1)
    ]
    got = collect(tasks, CHECK)
    assert [problem.task for problem in got.problems] == [7]
    assert what in got.problems[0].what
    assert votes_in(got) == [("8", "a2", "lynx", YES)]
    assert known(got.listed, got.listed.given, got) == [("8", "lynx", True)]


@pytest.mark.parametrize(
    ("data", "choice", "what"),
    [
        ({"given": "lynx"}, "Yes", "annotation 1 chose 'Yes'"),
        ({"given": "lynx", "maybe": {"a": 1}}, "Wrong", "'maybe' holds {'a': 1}; use a label"),
    ],
)
def test_a_verification_keeps_what_can_be_read(data: dict[str, object], choice: str, what: str) -> None:
    """An unknown word costs its annotation, unreadable candidates cost themselves."""
    said = [annotation(1, "a1", choice, control="check"), annotation(2, "a2", "Right", control="check")]
    got = collect([Task(7, data, said)], CHECK)
    assert [problem.task for problem in got.problems] == [7]
    assert what in got.problems[0].what
    kept = [("7", "a1", "lynx", NO)] if choice == "Wrong" else []
    assert votes_in(got) == [*kept, ("7", "a2", "lynx", YES)]
    assert known(got.listed, got.listed.given, got) == [("7", "lynx", True)]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000001Z"),
        ("2026-01-01T00:00:00.999999Z", "2026-01-01T00:00:01Z"),
        ("2026-01-01T00:00:00.100000Z", "2026-01-01T00:00:00.100001Z"),
    ],
)
def test_times_are_compared_as_moments(earlier: str, later: str) -> None:
    """A fraction of a second that is zero is left out, and is still before every other fraction."""
    said = [annotation(1, "a1", "cat", at=later), annotation(2, "a1", "dog", at=earlier)]
    assert votes_in(collect([Task(7, {}, said)], KIND)) == [("7", "a1", "cat", YES)]


@pytest.mark.parametrize("at", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z"])
def test_of_one_moment_the_later_id_counts(at: str) -> None:
    """However the moment is written."""
    said = [annotation(1, "a1", "cat", at="2026-01-01T00:00:00.0Z"), annotation(2, "a1", "dog", at=at)]
    assert votes_in(collect([Task(7, {}, said)], KIND)) == [("7", "a1", "dog", YES)]


def test_a_broken_region_of_a_skipped_or_replaced_annotation_does_no_harm() -> None:
    """Only what counts has to be readable."""
    task = Task(
        7,
        {},
        [
            annotation(1, "a1", "cow", at="2025-01-01T00:00:00Z"),
            annotation(2, "a1", "cat"),
            annotation(3, "a2", "cow", SKIPPED),
            annotation(4, "robot", "cow"),
        ],
    )
    got = collect([task], KIND, machines=["robot"])
    assert got.problems == []
    assert votes_in(got) == [("7", "a1", "cat", YES), ("7", "a2", None, UNSURE)]


def test_no_tasks_are_no_votes() -> None:
    """Nothing is collected from nothing."""
    got = collect([], KIND)
    assert (len(got.votes), len(got.listed.task), len(got.gold.task), got.problems) == (0, 0, 0, [])


def test_a_renamed_choice_counts_under_its_new_name() -> None:
    """So does a given label; other names that are gone are named as before."""
    tag = ChoicesTag("kind", "image", multiple=False, labels=("cat", "hound"))
    control = Control(tag, "choices", given="given", renamed={"dog": "hound"})
    tasks = [Task(1, {"given": "dog"}, [annotation(1, "a1", "dog"), annotation(2, "a2", "hound")])]
    collected = collect(tasks, control)
    names = collected.votes.label_names
    assert [names[label] for label in collected.votes.label] == ["hound", "hound"]
    assert [names[label] for label in collected.listed.label] == ["hound"]
    assert collected.problems == []


def test_a_control_that_was_hidden_has_no_votes() -> None:
    """What was chosen before it was hidden is no vote, and neither is its blank."""
    when = (Condition("choice-selected", "kind", ("dog",)),)
    breed = Control(ChoicesTag("breed", "image", False, ("corgi", "pug"), conditions=when), "choices")  # noqa: FBT003
    marks = Control(ChoicesTag("marks", "image", True, ("spots",), conditions=when), "choices")  # noqa: FBT003
    stale = annotation(1, "a1", "corgi", control="breed")
    hidden = replace(stale, result=[*annotation(1, "a1", "cat").result, *stale.result])
    shown = replace(stale, id=2, annotator="a2", result=[*annotation(1, "a2", "dog").result, *stale.result])
    tasks = [Task(1, {}, [hidden, shown])]
    assert collect(tasks, breed).votes.annotator_names.tolist() == ["a2"]
    assert collect(tasks, marks).votes.annotator_names.tolist() == ["a2"]


def test_a_given_label_that_cannot_be_read_is_named_with_its_source() -> None:
    """Whether it lies in ground truth or in a prediction; the votes on its task go on."""
    by_version = replace(KIND, given=None, given_version="m1")
    region = {"from_name": "kind", "type": "choices", "value": {"choices": ["cow"]}}
    task = Task(
        7, {}, [annotation(1, "a1", "cat"), annotation(2, "a2", "cow", gold=True)], predictions={"m1": [region]}
    )
    got = collect([task], by_version)
    assert [each.what for each in got.problems if "m1" in each.what] == [
        "the prediction of 'm1' gives 'cow', which is no choice of control 'kind'"
    ]
    got = collect([task], replace(KIND, given=None, given_annotations=True))
    assert got.problems[0].what == "annotation 2 gives 'cow', which is no choice of control 'kind'"
    assert [vote[1] for vote in votes_in(got)] == ["a1"]

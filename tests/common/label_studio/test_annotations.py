from dataclasses import dataclass
from itertools import permutations

import pytest

from common.label_studio.annotations import (
    account_of,
    accounts_named,
    answer_on,
    choices_in,
    counted,
    moment_of,
)
from common.label_studio.label_config import ChoicesTag, Condition
from consensus.core.votes.collected import collect
from consensus.core.votes.controls import Control as VotedControl
from consensus.core.votes.from_annotations import Annotation as Voted
from consensus.core.votes.from_annotations import Task
from consensus.core.votes.votes import YES
from ml_backend.core.controls import Control as LearnedControl
from ml_backend.core.evidence import Annotation as Learned
from ml_backend.core.evidence import targets

TIME = "2026-01-31T12:00:00"
WHEN_DOG = (Condition("choice-selected", "kind", ("dog",)),)


@dataclass(frozen=True)
class Submitted:
    """An annotation, as far as it matters which count."""

    id: int
    annotator: str
    updated_at: str
    skipped: bool = False
    ground_truth: bool = False


def region(control: str, *choices: object) -> dict[str, object]:
    """A region that chooses."""
    return {"from_name": control, "type": "choices", "value": {"choices": list(choices)}}


@pytest.mark.parametrize(
    ("result", "multiple", "answer"),
    [
        ([region("kind", "cat"), region("kind", "dog")], True, ("cat", "dog")),
        ([region("kind", "cat"), region("kind", "dog")], False, ("dog",)),
        ([region("kind", "cat"), region("kind", "dog"), region("kind", "cat")], False, ("cat",)),
        ([region("kind", "cat", "dog")], False, ("dog",)),
        ([region("other", "cat")], True, ()),
        ([], False, ()),
        ([{"from_name": "kind", "type": "rectanglelabels", "value": {}}], True, ()),
    ],
)
def test_several_regions_are_one_answer(result: list[object], multiple: bool, answer: tuple[str, ...]) -> None:  # noqa: FBT001
    """On a multiple choice all of them count, on a single one the last."""
    choices = choices_in(result)
    assert choices.faults == ()
    assert answer_on("kind", choices.made, multiple=multiple) == answer


@pytest.mark.parametrize("result", [[3], [region("kind") | {"value": {}}], [region("kind") | {"value": None}]])
def test_what_is_no_region_is_named(result: list[object]) -> None:
    """Nothing is read into it."""
    choices = choices_in(result)
    assert choices.made == {}
    assert len(choices.faults) == 1


def test_a_hidden_control_is_not_answered() -> None:
    """Not by what was chosen before it was hidden, and not by a blank."""
    stale = choices_in([region("kind", "cat"), region("breed", "corgi")]).made
    assert answer_on("breed", stale, multiple=False, conditions=WHEN_DOG) is None
    assert answer_on("breed", {"kind": ("cat",)}, multiple=True, conditions=WHEN_DOG) is None
    assert answer_on("breed", {"kind": ("dog",)}, multiple=True, conditions=WHEN_DOG) == ()
    perhaps = (Condition("region-selected"),)
    assert answer_on("breed", {}, multiple=True, conditions=perhaps) is None
    assert answer_on("breed", {"breed": ("corgi",)}, multiple=True, conditions=perhaps) == ("corgi",)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (f"{TIME}Z", f"{TIME}.000001Z"),
        (f"{TIME}.9Z", "2026-01-31T12:00:01Z"),
        (f"{TIME}+02:00", f"{TIME}Z"),
        (f"{TIME}.5", f"{TIME}.75"),
        ("", TIME),
        ("no time", TIME),
    ],
)
def test_times_are_compared_as_moments(earlier: str, later: str) -> None:
    """A time without a fraction sorts after one with a fraction as text."""
    assert moment_of(earlier) < moment_of(later)
    rows = [Submitted(2, "a1", earlier), Submitted(1, "a1", later)]
    assert counted(rows) == counted(rows[::-1]) == [rows[1]]


def test_the_latest_of_each_annotator_and_of_the_ground_truth_counts() -> None:
    """In whatever order they come; a skip counts, a skipped star does not, and ids tell equal times apart."""
    rows = [
        Submitted(1, "a1", f"{TIME}Z"),
        Submitted(2, "a1", f"{TIME}Z", skipped=True),
        Submitted(3, "a2", f"{TIME}Z", ground_truth=True),
        Submitted(4, "a1", f"{TIME}.5Z", ground_truth=True),
        Submitted(5, "bot", f"{TIME}Z"),
    ]
    for order in permutations(rows):
        assert {row.id for row in counted(order, {"bot"})} == {2, 4}


def test_an_account_is_read_and_named() -> None:
    """As an id or an object; a deleted one is nobody; settings name one by id or by address in any case."""
    assert [account_of({"completed_by": who}) for who in (3, {"id": 3})] == [3, 3]
    assert [account_of({"completed_by": who}) for who in (None, {}, True)] == [None] * 3
    named = accounts_named(["A@Example.com", "9", "gone@example.com"], {1: "a@example.com"})
    assert named == {"A@Example.com": 1, "9": 9, "gone@example.com": None}


TAG = ChoicesTag("kind", "image", multiple=False, labels=("cat", "dog"))
CASES: list[tuple[list[dict[str, object]], bool, dict[str, float] | None]] = [
    ([{"result": [region("kind", "cat"), region("kind", "dog")]}], True, {"cat": 1, "dog": 1}),
    ([{"result": [region("kind", "cat"), region("kind", "dog")]}], False, {"cat": 0, "dog": 1}),
    (
        [
            {"result": [region("kind", "cat")], "updated_at": f"{TIME}.5Z"},
            {"result": [region("kind", "dog")], "updated_at": f"{TIME}Z"},
        ],
        False,
        {"cat": 1, "dog": 0},
    ),
    (
        [
            {"result": [region("kind", "cat")], "completed_by": None},
            {"result": [region("kind", "dog")], "completed_by": None},
        ],
        False,
        {"cat": 0.5, "dog": 0.5},
    ),
    ([{"result": [3, region("kind", "cat")]}], False, None),
    ([{"result": [], "was_cancelled": True}], True, None),
    ([{"result": []}], True, {"cat": 0, "dog": 0}),
    ([{"result": []}], False, None),
]


@pytest.mark.parametrize(("raw", "multiple", "shares"), CASES)
def test_both_programs_read_an_annotation_alike(
    raw: list[dict[str, object]],
    multiple: bool,  # noqa: FBT001
    shares: dict[str, float] | None,
) -> None:
    """The share of annotators who say yes to a label is the same where votes are counted and where they teach."""
    whole = [{"id": at, "completed_by": 1, "updated_at": TIME, **row} for at, row in enumerate(raw, start=1)]
    learned = LearnedControl("kind", "image", TAG.labels, multiple, "image")
    taught, known = targets(learned, [[Learned.of(row) for row in whole]])
    voted = [
        Voted(
            row["id"],  # type: ignore[arg-type]
            str(account_of(row) or f"unknown {row['id']}"),
            str(row["updated_at"]),
            bool(row.get("was_cancelled")),
            ground_truth=False,
            result=row["result"],  # type: ignore[arg-type]
        )
        for row in whole
    ]
    tag = ChoicesTag("kind", "image", multiple, TAG.labels)
    votes = collect([Task(1, {}, voted)], VotedControl(tag, "choices")).votes
    stands = [votes.label_names[label] for label in votes.label[votes.vote == YES]]
    n_annotators = max(votes.n_annotators, 1)
    counted_shares = {label: stands.count(label) / n_annotators for label in TAG.labels}
    if shares is None:
        assert not known[0]
        assert not stands
    else:
        assert dict(zip(TAG.labels, taught[0].tolist(), strict=True)) == shares == counted_shares

"""To how many annotators a task is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contract import MACHINE_ACCOUNT
from consensus.core.routing.overlap import Change, Limits, ServedTask, change_of, is_current, need_of
from consensus.core.votes.from_annotations import Annotation

LIMITS = Limits(fewest=2, most=5)
NOON = "2026-01-01T12:00:00.000000Z"


def served(n_votes: int, overlap: int, *, closed: bool = False, skips: int = 0, gold: int = 0) -> ServedTask:
    """A task that so many people have annotated, others skipped, and others marked as ground truth."""
    kinds = ["vote"] * n_votes + ["skip"] * skips + ["gold"] * gold
    annotations = [
        Annotation(at, f"a{at}", NOON, kind == "skip", kind == "gold", [])
        for at, kind in enumerate(kinds, start=1)
    ]
    return ServedTask(7, overlap, closed, tuple(annotations))


@pytest.mark.parametrize(
    ("task", "overlap"),
    [
        (served(2, 1, closed=True), 3),  # finished as Label Studio sees it
        (served(2, 2), 3),
        (served(0, 1), 2),  # one vote decides nothing
        (served(1, 1, closed=True), 2),
        (served(2, 9, closed=True), 3),
        (served(2, 9), 5),  # not beyond the limit
        (served(4, 4, closed=True), 5),
        (served(1, 1, skips=2), 2),  # a skip takes no place
        (served(0, 1, skips=4), 1 + 1 - 1),
    ],
)
def test_an_open_task_is_shown_to_one_more_or_to_the_fewest(task: ServedTask, overlap: int) -> None:
    """The overlap is what Label Studio counts and what is missing; where it is that already, nothing is sent."""
    change = change_of(task, "vote", LIMITS, skips_count=False)
    same = overlap == task.overlap and not task.closed
    assert change == (None if same else Change(7, overlap, closed=False))


def test_the_machine_account_has_not_had_a_task() -> None:
    """Its annotation takes a place in Label Studio, and is no vote: two people are asked beside it."""
    machine = Annotation(1, MACHINE_ACCOUNT, NOON, skipped=False, ground_truth=False, result=[])
    task = ServedTask(7, 1, closed=True, annotations=(machine,))
    assert task.votes == 0
    assert change_of(task, "vote", LIMITS, skips_count=False) == Change(7, 3, closed=False)


def test_where_skips_count_they_take_a_place() -> None:
    """The overlap must be beyond them."""
    assert change_of(served(1, 2, skips=1, closed=True), "vote", LIMITS, skips_count=True) == Change(
        7, 3, closed=False
    )


@pytest.mark.parametrize("need", ["none", "limit"])
def test_a_task_that_needs_nothing_is_closed_at_what_it_has(need: str) -> None:
    """One that is closed already stays as it is; no overlap is below 1."""
    assert change_of(served(3, 4), need, LIMITS, skips_count=False) == Change(7, 3, closed=True)  # type: ignore[arg-type]
    assert change_of(served(0, 4, skips=1), need, LIMITS, skips_count=False) == Change(7, 1, closed=True)  # type: ignore[arg-type]
    assert change_of(served(3, 4, closed=True), need, LIMITS, skips_count=False) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("need", ["run", "gold", "decided"])
def test_a_task_that_is_not_ours_to_judge_stays(need: str) -> None:
    """Whatever its overlap."""
    assert change_of(served(3, 9), need, LIMITS, skips_count=False) is None  # type: ignore[arg-type]


@given(
    task=st.builds(served, st.integers(0, 8), st.integers(1, 9), closed=st.booleans(), skips=st.integers(0, 3)),
    fewest=st.integers(1, 6),
    most=st.integers(1, 6),
    is_open=st.booleans(),
    skips_count=st.booleans(),
)
def test_what_was_set_stays_set(
    *, task: ServedTask, fewest: int, most: int, is_open: bool, skips_count: bool
) -> None:
    """A second call changes nothing, and nobody beyond the limit is shown the task."""
    limits = Limits(min(fewest, most), most)
    need = need_of(task, is_open=is_open, is_current=True, limits=limits)
    change = change_of(task, need, limits, skips_count=skips_count)
    after = ServedTask(7, change.overlap, change.closed, task.annotations) if change else task
    assert change_of(after, need, limits, skips_count=skips_count) is None
    shown_to = after.overlap - after.submitted(skips_count=skips_count)
    assert (need != "vote") == after.closed
    assert after.closed or 1 <= shown_to <= most - after.votes


def test_what_a_task_needs() -> None:
    """Its truth goes before all; then a run that sees its votes; then what is undecided, up to the limit."""

    def need(task: ServedTask, *, is_open: bool = True, current: bool = True) -> str:
        return need_of(task, is_open=is_open, is_current=current, limits=LIMITS)

    assert need(served(4, 1)) == "vote"
    assert need(served(5, 1)) == need(served(2, 1, skips=3)) == "limit"
    assert need(served(5, 1), is_open=False) == "none"
    assert need(served(5, 1), current=False) == "run"
    assert need(served(5, 1, gold=1), current=False) == "gold"


def test_two_annotations_of_one_person_are_one() -> None:
    """Label Studio counts people, too."""
    twice = tuple(Annotation(number, "a1", NOON, False, False, []) for number in (1, 2))  # noqa: FBT003
    task = ServedTask(7, 1, closed=True, annotations=twice)
    assert (task.votes, task.submitted(skips_count=False), task.annotators) == (1, 1, {"a1"})


def test_a_run_has_seen_what_it_counted_and_what_is_older() -> None:
    """A vote that came or changed since is news; a time may leave out its fraction."""
    task = served(2, 2)
    both = frozenset({(1, NOON), (2, NOON)})
    assert is_current(task, both, "2026-01-01T00:00:00.000000Z")
    assert is_current(task, frozenset(), NOON)
    assert not is_current(task, frozenset({(1, NOON)}), "2026-01-01T11:59:59.999999Z")
    changed = frozenset({(1, NOON), (2, "2026-01-01T11:00:00Z")})
    assert not is_current(task, changed, "2026-01-01T11:30:00Z")
    assert is_current(task, changed, "2026-01-01T12:00:00.000000Z")
    assert not is_current(task, changed, "2026-01-01T12:30:00+02:00")  # moments, not texts

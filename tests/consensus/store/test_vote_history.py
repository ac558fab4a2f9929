"""The ledger of votes, run by run."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.store.vote_history import Count, Coverage, Row, count, ledger_changes

COVERAGE = Coverage(tasks=frozenset({1, 2, 3}), controls=frozenset({"kind"}))


def vote(task: int, annotator: str = "a1", stand: str = "yes", annotation: int = 0, **more: Any) -> Row:  # noqa: ANN401
    """A vote as the store has it."""
    return {
        "control": "kind", "task": task, "annotator": annotator, "vote": stand,
        "annotation": annotation or task, **more,
    }  # fmt: skip


def entry(task: int, annotator: str = "a1", kind: str = "answer", annotation: int = 0, **more: Any) -> Row:  # noqa: ANN401
    """An entry of the ledger."""
    return {
        "control": "kind", "task": task, "annotator": annotator, "kind": kind,
        "annotation": annotation or task, **more,
    }  # fmt: skip


def changed(entries: list[Row], votes: list[Row], coverage: Coverage = COVERAGE) -> tuple[list[Row], list[Row]]:
    """What begins and what ends."""
    found = ledger_changes(entries, votes, coverage)
    return found.new, found.ended


def test_a_vote_is_entered_once_however_many_labels_it_chose() -> None:
    """Two rows of one submission, and the same again in the next run."""
    votes = [vote(1, label="fur"), vote(1, label="wings")]
    assert changed([], votes) == ([entry(1)], [])
    assert changed([entry(1)], votes) == ([], [])


def test_an_edited_vote_stays_the_same_entry() -> None:
    """Another label, and a new annotation in the place of the old one."""
    assert changed([entry(1)], [vote(1, stand="no", annotation=77)]) == ([], [])


def test_a_skipped_task_that_is_answered_ends_as_unsure_and_begins_as_an_answer() -> None:
    """They are two entries, paid by their own rates."""
    assert changed([entry(1, kind="unsure")], [vote(1)]) == ([entry(1)], [entry(1, kind="unsure")])


def test_a_withdrawn_vote_ends() -> None:
    """Its task and its control were looked at, and it was not there."""
    assert changed([entry(1), entry(2)], [vote(2)]) == ([], [entry(1)])


@pytest.mark.parametrize(
    "coverage",
    [
        Coverage(tasks=frozenset({2}), controls=frozenset({"kind"})),
        Coverage(tasks=frozenset({1}), controls=frozenset({"other"})),
        Coverage(frozenset({1}), frozenset({"kind"}), unreadable=frozenset({("kind", 1)})),
        Coverage(frozenset({1}), frozenset({"kind"}), gold=frozenset({1})),
    ],
)
def test_what_could_not_be_seen_was_not_withdrawn(coverage: Coverage) -> None:
    """The task is deleted, the control is gone, the task is unreadable, or the annotation is ground truth now."""
    assert changed([entry(1)], [], coverage) == ([], [])


def test_an_account_with_a_new_name_is_not_entered_again() -> None:
    """The annotation is the same; a vote of a new annotation is another one."""
    assert changed([entry(1, "a1", annotation=5)], [vote(1, "b1", annotation=5)]) == ([], [])
    assert changed([entry(1, "a1", annotation=5)], [vote(1, "b1", annotation=6)]) == (
        [entry(1, "b1", annotation=6)],
        [entry(1, "a1", annotation=5)],
    )


def test_a_name_that_has_an_entry_of_its_own_takes_no_other() -> None:
    """Two annotators of a task: the one's withdrawal is not hidden by the other, whatever its annotation is."""
    entries = [entry(1, "a1", annotation=5), entry(1, "a2", annotation=6)]
    assert changed(entries, [vote(1, "a2", annotation=5)]) == ([], [entries[0]])


def at(day: int, hour: int = 12) -> datetime:
    """A moment of January 2026."""
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def spans(*stretches: tuple[datetime, datetime | None], task: int = 1, **more: Any) -> list[Row]:  # noqa: ANN401
    """Entries of one vote."""
    return [entry(task, since=since, until=until, **more) for since, until in stretches]


def test_votes_of_a_period_are_counted_at_its_end() -> None:
    """Standing, ended after the period, ended in it, unsure."""
    entries = [
        *spans((at(1), None)),
        *spans((at(2), at(20)), task=2),
        *spans((at(2), at(4)), task=3),
        *spans((at(2), None), task=4, kind="unsure"),
    ]
    found = count(entries, [], at(10, 0))
    assert found == {("a1", "kind"): Count(answers=2, unsure=1, withdrawn=1)}


def test_a_vote_that_comes_back_within_the_period_counts_once() -> None:
    """Withdrawn and given again: one vote."""
    assert count(spans((at(1), at(2)), (at(3), None)), [], at(10, 0)) == {("a1", "kind"): Count(answers=1)}


def test_a_vote_that_may_have_been_paid_before_is_not_paid_again_and_said() -> None:
    """It stood at midnight, when a period can have ended; one that never did cannot have been paid."""
    again = spans((at(10), None))
    assert count(again, spans((at(1), at(2, 0))), at(20, 0)) == {("a1", "kind"): Count(returned=1)}
    assert count(again, spans((at(1), at(1, 23))), at(20, 0)) == {("a1", "kind"): Count(answers=1)}


def test_times_without_a_zone_are_utc() -> None:
    """As SQLite gives them back."""
    naive = spans((datetime(2026, 1, 1, 12), datetime(2026, 1, 9, 23)))  # noqa: DTZ001
    assert count(naive, [], at(10, 0)) == {("a1", "kind"): Count(withdrawn=1)}


@given(st.lists(st.sampled_from(["yes", "unsure", ""]), max_size=40), st.integers(1, 12))
def test_no_vote_is_paid_twice_or_lost_silently(states: list[str], days: int) -> None:
    """A run every six hours, periods of any length: never two payments, and one for a vote that always stands."""
    ledger: list[Row] = []
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    moments = [begin.replace(day=1 + place // 4, hour=place % 4 * 6) for place in range(len(states))]
    for moment, state in zip(moments, states, strict=True):
        votes = [vote(1, stand=state)] if state else []
        change = ledger_changes([one for one in ledger if one["until"] is None], votes, COVERAGE)
        for ended in change.ended:
            ended["until"] = moment
        ledger += [{**new, "since": moment, "until": None} for new in change.new]
    answers = unsure = told = 0
    ends = [datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 31, days)] + [datetime(2026, 2, 1, tzinfo=UTC)]
    for start, end in pairwise(ends):
        entries = [one for one in ledger if start <= one["since"] < end]
        earlier = [one for one in ledger if one["since"] < start and one["until"] is not None]
        for found in count(entries, earlier, end).values():
            answers, unsure = answers + found.answers, unsure + found.unsure
            told += found.answers + found.unsure + found.withdrawn + found.returned
    assert max(answers, unsure) <= 1
    assert told >= ("yes" in states) + ("unsure" in states)
    if states and states[-1] and states.count(states[-1]) == len(states):
        assert answers + unsure == 1

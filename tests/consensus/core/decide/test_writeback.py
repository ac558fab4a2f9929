"""What has to change in Label Studio."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from consensus.core.decide.writeback import Difference, Entry, Written, difference

CAT = Entry(1, "Discovered", "kind", "cat", 0.9)
DOG = Entry(1, "MisClassified", "kind", "dog", 0.1)


def holding(*entries: Entry) -> list[Written]:
    """Predictions with the ids 1, 2, 3, ... ."""
    return [Written(number, entry) for number, entry in enumerate(entries, start=1)]


def test_nothing_is_sent_where_nothing_changed() -> None:
    """The same entries in any order are no difference."""
    assert difference([CAT, DOG], holding(DOG, CAT)).empty
    assert difference([], []).empty


def test_new_entries_are_created_and_old_ones_deleted() -> None:
    """An entry that moved to another report, task, control or choice is another entry."""
    for moved in (
        replace(CAT, report="AllConfirmed"),
        replace(CAT, task=2),
        replace(CAT, control="b"),
        replace(CAT, choice="x"),
    ):
        assert difference([moved], holding(CAT)) == Difference([moved], [], [1], [])


def test_a_score_is_updated_where_it_moved_by_the_tolerance() -> None:
    """Less than the tolerance stays, the tolerance and more is sent."""
    less, more = replace(CAT, score=0.9 - 0.0625), replace(CAT, score=0.9 + 0.25)
    assert difference([less], holding(CAT), tolerance=0.125).empty
    assert difference([more], holding(CAT), tolerance=0.125).update == [Written(1, more)]
    half = replace(CAT, score=0.5)
    assert difference([replace(CAT, score=0.625)], holding(half), tolerance=0.125).update != []


def test_a_score_that_is_no_number_is_updated() -> None:
    """Where Label Studio holds no score, the score is sent."""
    assert difference([CAT], holding(replace(CAT, score=float("nan")))).update == [Written(1, CAT)]


def test_surplus_copies_are_deleted_and_the_oldest_stays() -> None:
    """Of three copies the two younger ones go."""
    there = [Written(9, CAT), Written(3, CAT), Written(5, CAT)]
    assert difference([CAT], there) == Difference([], [], [5, 9], [])


def test_a_report_with_many_slow_changes_is_emptied_and_written_anew() -> None:
    """Updates and deletions count per report; other reports are changed one by one."""
    old = [replace(CAT, task=task) for task in range(4)]
    new = [replace(CAT, task=0, score=0.1), replace(CAT, task=1), replace(DOG, score=0.2)]
    change = difference(new, holding(*old, DOG), many=3)
    assert change.clear == ["consensus/Discovered"]
    assert change.create == new[:2]
    assert change.update == [Written(5, new[2])]
    assert change.delete == []
    assert difference(new, holding(*old, DOG), many=4).clear == []


def test_a_few_of_many_are_changed_one_by_one() -> None:
    """However many change: where they are not more than half of what is there, the others are not written anew."""
    old = [replace(CAT, task=task) for task in range(6)]
    half = [replace(one, score=0.1) for one in old[:3]]
    change = difference(half + old[3:], holding(*old), many=3)
    assert (change.clear, [one.id for one in change.update]) == ([], [1, 2, 3])
    assert difference(old[3:], holding(*old), many=3) == Difference([], [], [1, 2, 3], [])
    most = [replace(one, score=0.1) for one in old[:4]]
    assert difference(most + old[4:], holding(*old), many=3).clear == ["consensus/Discovered"]
    assert difference(old[4:], holding(*old), many=3) == Difference(old[4:], [], [], ["consensus/Discovered"])


def test_creating_many_empties_nothing() -> None:
    """New entries are quick to send however many they are."""
    new = [replace(CAT, task=task) for task in range(500)]
    assert difference(new, []) == Difference(new, [], [], [])


entries = st.builds(
    Entry,
    task=st.integers(1, 3),
    report=st.sampled_from(["Discovered", "NoVotes"]),
    control=st.sampled_from(["", "kind"]),
    choice=st.sampled_from(["", "cat"]),
    score=st.sampled_from([0.0, 0.002, 0.5, 1.0]),
)
wanted_entries = st.lists(entries, max_size=8, unique_by=lambda one: one.identity)


def applied(change: Difference, there: list[Written]) -> list[Written]:
    """What Label Studio holds after the writes, in the order in which they are sent."""
    held = {one.id: one.entry for one in there if one.entry.model_version not in change.clear}
    fresh = max([0, *(one.id for one in there)]) + 1
    held |= dict(enumerate(change.create, start=fresh))
    for one in change.update:
        assert one.id in held
        held[one.id] = one.entry
    for number in change.delete:
        del held[number]
    return [Written(number, entry) for number, entry in held.items()]


@given(wanted_entries, st.lists(entries, max_size=12), st.integers(1, 4))
def test_the_writes_lead_to_what_is_wanted_and_then_there_are_none(
    wanted: list[Entry], there: list[Entry], many: int
) -> None:
    """Whatever is there, after the writes each wanted entry is there once, and a second run sends nothing."""
    held = applied(difference(wanted, holding(*there), many=many), holding(*there))
    assert Counter(one.entry.identity for one in held) == Counter(entry.identity for entry in wanted)
    scores = {entry.identity: entry.score for entry in wanted}
    assert all(abs(one.entry.score - scores[one.entry.identity]) < 0.005 for one in held)
    assert difference(wanted, held, many=many).empty


@given(wanted_entries, st.lists(entries, max_size=12), st.integers(1, 4), st.data())
def test_an_interruption_anywhere_is_repaired(
    wanted: list[Entry], there: list[Entry], many: int, data: st.DataObject
) -> None:
    """After any part of the writes, another difference still leads to what is wanted."""
    change = difference(wanted, holding(*there), many=many)
    part = Difference(
        change.create[: data.draw(st.integers(0, len(change.create)))],
        change.update[: data.draw(st.integers(0, len(change.update)))],
        change.delete[: data.draw(st.integers(0, len(change.delete)))],
        change.clear[: data.draw(st.integers(0, len(change.clear)))],
    )
    held = applied(part, holding(*there))
    held = applied(difference(wanted, held, many=many), held)
    assert Counter(one.entry.identity for one in held) == Counter(entry.identity for entry in wanted)


@given(st.lists(entries, max_size=8))
def test_entries_of_one_identity_are_kept_as_often_as_they_are_wanted(wanted: list[Entry]) -> None:
    """Two controls without a region in one report and task look alike, and both are written, once."""
    held = holding(*wanted)
    assert difference(wanted, held).empty
    assert len(difference(wanted, []).create) == len(wanted)

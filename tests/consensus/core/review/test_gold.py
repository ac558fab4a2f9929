"""Which known answers are put before whom."""

import random

import pytest

from consensus.core.review.gold import GoldTask, Work, in_doses, in_proportion, owed


def closed(*annotators: frozenset[str]) -> list[GoldTask]:
    """Tasks that nobody is shown, by who has had them."""
    return [GoldTask(number, served=False, annotators=names) for number, names in enumerate(annotators)]


def test_what_is_owed_makes_up_for_what_was_missing_and_no_more() -> None:
    """One in ten of what was done and comes next; after a long time without, that of fifty tasks."""
    assert owed(0.1, Work(), 0) == 0.5
    assert owed(0.1, Work(25, 1), 0) == 2
    assert owed(0.1, Work(25, 4), 0) == 0
    assert owed(0.1, Work(1000, 0), 0) == 5


def test_as_many_places_are_opened_as_are_owed() -> None:
    """Tasks first that most of them have not had; who has had all gets none."""
    had_by_a, had_by_none = frozenset({"a"}), frozenset[str]()
    gold = closed(had_by_a, had_by_none, had_by_none)
    assert in_doses(gold, {"a": Work(), "b": Work()}, 0.4, "") == {1: 2, 2: 2}
    assert in_doses(gold[:1], {"a": Work()}, 0.4, "") == {}
    assert in_doses(gold, {"a": Work(20, 6), "b": Work()}, 0.2, "") in ({0: 1}, {1: 1}, {2: 1})


def test_what_is_shown_already_is_not_opened_again() -> None:
    """A second call opens nothing."""
    gold = [GoldTask(1, served=True, annotators=frozenset()), *closed(frozenset())]
    assert in_doses(gold, {"a": Work()}, 0.2, "") == {}


def test_somebody_new_is_expected() -> None:
    """Before anybody has worked."""
    assert sum(in_doses(closed(*[frozenset()] * 9), {}, 0.4, "").values()) == 2


def test_in_a_random_stream_they_are_a_share_of_what_is_open() -> None:
    """Ten among ninety others."""
    gold = [GoldTask(100, served=True, annotators=frozenset()), *closed(*[frozenset[str]()] * 20)]
    opened = in_proportion(gold, ["a", "b"], 90, 0.1, "")
    assert len(opened) == 9
    assert set(opened.values()) == {2}
    assert in_proportion(gold, ["a"], 0, 0.1, "") == {}


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_fast_and_slow_annotators_get_about_the_share(share: float) -> None:
    """Opened tasks come first, and are topped up now and then; one does ten times as much as another."""
    draw = random.Random(1)
    names, speed = ["fast", "middle", "slow"], [10, 3, 1]
    had: dict[int, set[str]] = {number: set() for number in range(400)}
    places: dict[int, int] = {}
    tasks, known = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for _ in range(120):
        gold = [GoldTask(number, places.get(number, 0) > 0, frozenset(who)) for number, who in had.items()]
        work = {name: Work(tasks[name], known[name]) for name in names}
        places |= in_doses(gold, work, share, "")
        for _ in range(14):
            [name] = draw.choices(names, speed)
            served = next((each for each, left in places.items() if left and name not in had[each]), None)
            tasks[name] += 1
            if served is not None:
                places[served] -= 1
                had[served].add(name)
                known[name] += 1
    shares = [known[name] / tasks[name] for name in names]
    assert shares[:2] == pytest.approx([share] * 2, rel=0.2)
    assert share <= shares[2] <= 2 * share
    assert sum(known.values()) / sum(tasks.values()) == pytest.approx(share, rel=0.1)

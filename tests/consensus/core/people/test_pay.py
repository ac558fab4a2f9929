"""Pay, in amounts that can be counted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.core.people.pay import Best, Line, Rules, Tier, Work, best_of, lines_of, percent_of, totals

RULES = Rules(
    unit="EUR cent",
    per_vote=4,
    per_unsure=1,
    tiers=(Tier(0.9, 25), Tier(0.5, 10)),
    rejected=frozenset({"spam"}),
    pardoned=frozenset({"a9"}),
)
SPAM = (("spam", "looks at nothing"),)


def work(annotator: str = "a1", answers: int = 10, trust: float | None = 0.8, **more: Any) -> Work:  # noqa: ANN401
    """Ten votes of somebody on one control."""
    nothing = {"unsure": 0, "withdrawn": 0, "returned": 0}
    return Work(annotator, more.pop("control", "kind"), answers, trust=trust, **{**nothing, **more})


def line(**facts: Any) -> Line:  # noqa: ANN401
    """The only line of somebody's work."""
    found = lines_of([work(**facts)], RULES)
    assert len(found) == 1
    return found[0]


def test_base_bonus_and_words() -> None:
    """Eleven votes at 4 and two unsure at 1 are 46; ten percent are 4.6, which is 5."""
    found = line(answers=11, unsure=2)
    assert (found.base, found.bonus_percent, found.bonus, found.amount) == (46, 10, 5, 51)
    assert found.why == (
        "11 votes at 4 = 44; 2 unsure at 1 = 2; trust 0.800 reaches the tier from 0.5: 10 % of 46 = 5"
    )


@pytest.mark.parametrize(("trust", "percent"), [(0.9, 25), (0.89999, 10), (0.5, 10), (0.4999, 0), (None, 0)])
def test_the_highest_tier_that_is_reached_counts(trust: float | None, percent: int) -> None:
    """A tier begins with its own trust; below all of them, and without trust, there is no bonus."""
    assert line(trust=trust).bonus_percent == percent


def test_rejected_spam_is_paid_nothing_and_says_why() -> None:
    """The line stays, with its votes, and an amount of 0."""
    found = line(suspicions=SPAM)
    assert (found.votes, found.base, found.bonus_percent, found.amount) == (10, 0, 0, 0)
    assert found.why == "10 votes and 0 unsure are rejected: spam: looks at nothing"


def test_other_suspicions_and_pardoned_annotators_are_paid() -> None:
    """Only the kinds that the rules reject count, and not for those whom a person has cleared."""
    assert line(suspicions=(("copying", "of a2"),)).amount == 44
    assert line(annotator="a9", suspicions=SPAM).amount == 44
    assert line(annotator="A9", suspicions=SPAM).amount == 44


def test_what_is_not_paid_is_said() -> None:
    """Withdrawn votes and those that came back have their words."""
    assert line(withdrawn=2, returned=1).why.endswith(
        "; 2 withdrawn before the end of the period: not paid; 1 came back after they had counted in an earlier "
        "period: not paid again"
    )


def test_lines_are_ordered_by_annotator_and_control() -> None:
    """Whatever order the store has."""
    works = [work("a2"), work("a1", control="second"), work("a1", control="first")]
    assert [(one.annotator, one.control) for one in lines_of(works, RULES)] == [
        ("a1", "first"), ("a1", "second"), ("a2", "kind"),
    ]  # fmt: skip


def best(*works: Work, min_votes: int = 5) -> list[tuple[str, int]]:
    """Who gets which bonus of 100."""
    found = best_of(works, Best(100, min_votes), RULES, "2026-01")
    return [(one.annotator, one.amount) for one in found]


def test_the_best_annotator_has_enough_votes_and_the_highest_trust() -> None:
    """Four votes are too few, spam does not count; who has no trust is not compared."""
    assert best(work("a1", 4, 1.0), work("a2", 5, 0.7), work("a3", 50, 0.6)) == [("a2", 100)]
    assert best(work("a1", 9, 0.9, suspicions=SPAM), work("a2", 9, None), work("a3", 5, 0.1)) == [("a3", 100)]
    assert best(work("a1", 4)) == []


def test_trust_of_the_best_is_the_mean_over_controls_by_votes() -> None:
    """Of a1 (30 * 0.9 + 10 * 0.5) / 40 = 0.8, more than 0.79."""
    assert best(work("a1", 30, 0.9), work("a1", 10, 0.5, control="second"), work("a2", 40, 0.79)) == [("a1", 100)]


def test_equal_ones_share_by_votes_and_then_the_amount() -> None:
    """More votes win; three who are equal get 33 each, and the words say so."""
    assert best(work("a1", 9, 0.8), work("a2", 10, 0.8)) == [("a2", 100)]
    assert best(*(work(name) for name in ("a1", "a2", "a3"))) == [("a1", 33), ("a2", 33), ("a3", 33)]
    found = best_of([work("a1"), work("a2")], Best(100, 5), RULES, "2026-01")
    assert found[0].item == "best annotator 2026-01"
    assert found[0].why == (
        "highest trust of the 2 annotators with 5 or more paid votes first seen in 2026-01: 0.800 with 10 votes; "
        "bonus 100, shared by 2 who are equal, = 50"
    )


@given(st.integers(0, 10**9), st.integers(0, 1000))
def test_percent_is_off_by_half_a_unit_at_most(amount: int, percent: int) -> None:
    """Exactly, in whole numbers; a half is rounded up."""
    assert -50 < 100 * percent_of(amount, percent) - amount * percent <= 50


@given(st.lists(st.tuples(st.sampled_from(["a1", "a2"]), st.integers(0, 99), st.integers(0, 9)), max_size=9))
def test_totals_are_the_sums_of_the_lines(rows: list[tuple[str, int, int]]) -> None:
    """By annotator and in all; no amount is negative."""
    works = [work(name, n, unsure=m, control=str(place)) for place, (name, n, m) in enumerate(rows)]
    lines = lines_of(works, RULES)
    assert sum(totals(lines).values()) == sum(one.amount for one in lines)
    assert all(one.amount == one.base + one.bonus >= 0 for one in lines)
    assert list(totals(lines)) == sorted({name for name, *_ in rows})


def test_trust_is_never_shown_as_more_than_it_is() -> None:
    """0.8997 reaches the tier from 0.5, and must not look like the 0.9 that it does not reach."""
    assert line(trust=0.8997).why.endswith("trust 0.899 reaches the tier from 0.5: 10 % of 40 = 4")

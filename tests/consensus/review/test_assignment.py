"""What waits, given to reviewers in the store."""

import pytest
from in_memory_label_studio import InMemoryStudio
from reviewed import A1, ADMIN, DOUBTED, REVIEWER, SETTINGS, START, WRONG, edge, label_studio, queued, run_at

from consensus.core.review.rulings import Ruling
from consensus.errors import ConfigError
from consensus.review.assignment import assign
from consensus.review.decisions import decide
from consensus.store.store import Store


@pytest.fixture
def studio(store: Store) -> InMemoryStudio:
    """A project after its first run: two accused, one torn, twenty spot checks."""
    made = label_studio()
    run_at(made, store)
    return made


def holders(store: Store, queue: str) -> list[str | None]:
    """Who has the items of a queue, in its order."""
    return [row["assigned_to"] for row in store.decisions.queue(7, queue)]  # type: ignore[arg-type]


def test_everything_that_waits_is_spread(studio: InMemoryStudio, store: Store) -> None:
    """Evenly, and a second time nothing changes; a run leaves it as it is."""
    given = assign(edge(studio), store, 7, [ADMIN, REVIEWER], START)
    assert (given.items, given.new, given.nobody) == ({ADMIN: 12, REVIEWER: 11}, 23, 0)
    before = holders(store, "spot")
    assert assign(edge(studio), store, 7, [REVIEWER, "1"], START).new == 0
    run_at(studio, store, 1)
    assert holders(store, "spot") == before


def test_nobody_gets_what_they_annotated(studio: InMemoryStudio, store: Store) -> None:
    """Whoever has voted on all of it gets nothing."""
    given = assign(edge(studio), store, 7, [A1], START)
    assert (given.items, given.nobody) == ({}, 23)
    assert assign(edge(studio), store, 7, [A1, REVIEWER], START).items == {REVIEWER: 23}


def test_what_a_reviewer_gives_up_or_leaves_behind_is_given_again(studio: InMemoryStudio, store: Store) -> None:
    """Named, or without an account."""
    assign(edge(studio), store, 7, [ADMIN], START, queue="misclassified")
    assert holders(store, "misclassified") == [ADMIN, ADMIN]
    assert holders(store, "spot") == [None] * 20
    assign(edge(studio), store, 7, [REVIEWER], START, queue="misclassified", without=[ADMIN])
    assert holders(store, "misclassified") == [REVIEWER, REVIEWER]
    del studio.accounts[6]
    assign(edge(studio), store, 7, [ADMIN], START, queue="misclassified")
    assert holders(store, "misclassified") == [ADMIN, ADMIN]


def test_a_reviewer_has_an_account(studio: InMemoryStudio, store: Store) -> None:
    """One of a misspelt name is no reviewer."""
    with pytest.raises(ConfigError, match=r"'reviwer@example.com' has no account"):
        assign(edge(studio), store, 7, ["reviwer@example.com"], START)
    with pytest.raises(ConfigError, match="name a reviewer"):
        assign(edge(studio), store, 7, [], START)


def test_others_may_decide_on_what_somebody_has(studio: InMemoryStudio, store: Store) -> None:
    """An assignment says who is to look first, and is no lock."""
    assign(edge(studio), store, 7, [ADMIN], START)
    ruling = Ruling(WRONG, "kind", "accept")
    decide(edge(studio), store, SETTINGS, 7, [ruling], reviewer=REVIEWER, now=lambda: START)
    assert queued(store, "misclassified") == [DOUBTED]

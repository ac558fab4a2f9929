"""What waits for a reviewer on one control, on tables that can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.core.arrays import Flags
from consensus.core.review.queues import Ranked, least_agreed, misclassified, random_spots, settled, undecided
from consensus.core.review.sampling import uniform
from consensus.core.routing.open_classifications import StoredClassifications

Row = tuple[int, int, bool, int, int, float, str]
NONE = np.zeros(0, dtype=bool)


def stored(*rows: Row) -> StoredClassifications:
    """Rows of (task, label, given, yes, no, posterior, report); a posterior of 0 or 1 is its own bounds."""
    task, label, is_given, yes, no, posterior, report = map(np.array, zip(*rows, strict=True))
    sure = (posterior == 0) | (posterior == 1)
    return StoredClassifications(
        task.astype(np.int32),
        label.astype(np.int32),
        is_given.astype(bool),
        yes.astype(float),
        no.astype(float),
        np.where(sure, posterior, posterior - 0.01),
        np.where(sure, posterior, posterior + 0.01),
        posterior.astype(float),
        report.astype(object),
        3,
        one_of_many=True,
    )


def none(rows: StoredClassifications) -> Flags:
    """Nothing is settled, or open."""
    return np.zeros(len(rows), dtype=bool)


def shown(rows: StoredClassifications, ranked: Ranked) -> list[tuple[int, int, float]]:
    """Task, label and priority in the order of the queue."""
    at = ranked.row
    columns = rows.task[at].tolist(), rows.label[at].tolist(), ranked.priority.round(3).tolist()
    return list(zip(*columns, strict=True))


def test_the_strongest_accusation_comes_first() -> None:
    """Of a task with several wrong labels the most wrong one counts."""
    rows = stored(
        (0, 0, True, 1, 4, 0.15, "MisClassified"),
        (1, 0, True, 0, 5, 0.02, "MisClassified"),
        (1, 1, True, 0, 5, 0.01, "MisClassified"),
        (2, 0, True, 5, 0, 0.98, "AllConfirmed"),
    )
    assert shown(rows, misclassified(rows, none(rows))) == [(1, 1, 0.01), (0, 0, 0.15)]


def test_what_is_settled_does_not_wait() -> None:
    """A given label that somebody has decided to be wrong is reported, and needs no second look."""
    rows = stored((0, 0, True, 1, 4, 0.0, "MisClassified"), (1, 0, True, 1, 4, 0.1, "MisClassified"))
    assert settled(rows).tolist() == [True, False]
    assert shown(rows, misclassified(rows, settled(rows))) == [(1, 0, 0.1)]


def test_what_is_nearest_to_one_half_comes_first() -> None:
    """Controversial or open with votes; what nobody voted on waits for votes, not for a reviewer."""
    rows = stored(
        (0, 0, True, 3, 3, 0.6, "Controversial"),
        (1, 0, False, 1, 0, 0.55, ""),
        (2, 0, True, 0, 0, 0.5, "NoVotes"),
        (3, 0, True, 5, 0, 0.98, "AllConfirmed"),
    )
    is_open = np.array([True, True, True, False])
    assert shown(rows, undecided(rows, none(rows), is_open)) == [(1, 0, 0.05), (0, 0, 0.1)]


def test_the_least_agreed_of_the_confirmed_come_first() -> None:
    """A task counts with the classification of which its annotators agree the least; half of three are two."""
    rows = stored(
        (0, 0, True, 5, 0, 0.98, "AllConfirmed"),
        (1, 0, True, 4, 1, 0.9, "AllConfirmed"),
        (1, 1, False, 1, 4, 0.1, ""),
        (2, 0, True, 3, 1, 0.9, "AllConfirmed"),
        (3, 0, True, 2, 2, 0.5, "Controversial"),
    )
    assert shown(rows, least_agreed(rows, none(rows), 0.5)) == [(2, 0, 0.75), (1, 0, 0.8)]
    assert shown(rows, least_agreed(rows, none(rows), 1))[-1] == (0, 0, 1)


def test_spot_checks_do_not_look_at_the_votes() -> None:
    """The same tasks are drawn whatever was voted; without votes none is."""
    tasks = np.arange(1000)
    for_it = stored(*((task, 0, True, 3, 0, 0.95, "AllConfirmed") for task in range(1000)))
    against = stored(*((task, 0, True, 0, 3, 0.05, "MisClassified") for task in range(1000)))
    silent = stored(*((task, 0, True, 0, 0, 0.5, "NoVotes") for task in range(1000)))
    drawn = [shown(rows, random_spots(rows, tasks, 0.1, "seed")) for rows in (for_it, against, silent)]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == pytest.approx(100, abs=30)
    assert drawn[2] == []


@given(st.lists(st.integers(1, 2**40), unique=True, min_size=1, max_size=50), st.text(max_size=5))
def test_a_place_in_the_sample_is_a_tasks_own(keys: list[int], seed: str) -> None:
    """It lies in [0, 1) and does not depend on what other tasks there are."""
    places = uniform(np.array(keys), seed)
    assert ((places >= 0) & (places < 1)).all()
    assert places[-1] == uniform(np.array(keys[-1:]), seed)[0]

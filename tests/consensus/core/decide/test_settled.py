"""What somebody has decided is reported as decided."""

import numpy as np
import pytest
from made_votes import chosen, gold_of, listed_of, scored

from consensus.core.decide.scoring import Scored
from consensus.core.decide.settled import settle
from consensus.core.votes.classifications import Gold

CAT, DOG, OWL = 0, 1, 2
GIVEN = listed_of([(0, CAT, True), (1, CAT, True), (2, OWL, False), (3, CAT, True)])


def of_votes() -> Scored:
    """Two people say cat to tasks 0 and 1; nobody has voted on tasks 2 and 3."""
    answers = {(task, who): CAT for task in (0, 1) for who in (0, 1)}
    return scored(chosen(answers, 3, n_tasks=4), listed=GIVEN)


def told(of: Scored, task: int) -> list[tuple[int, str, float, float, float]]:
    """Label, report, lower bound, posterior and upper bound of a task's classifications."""
    rows = of.classifications
    return [
        (int(rows.label[row]), str(of.report[row]), of.confidence[row], of.posterior[row], of.upper[row])
        for row in np.flatnonzero(rows.task == task)
    ]


def test_a_right_label_is_confirmed_or_discovered_and_the_given_one_misclassified() -> None:
    """Of a single choice one right label says of all others that they are wrong."""
    settled = settle(of_votes(), gold_of([(0, CAT, True), (1, DOG, True), (2, OWL, True)]), "single")
    assert told(settled, 0) == [(CAT, "AllConfirmed", 1, 1, 1), (DOG, "", 0, 0, 0), (OWL, "", 0, 0, 0)]
    assert told(settled, 1) == [(CAT, "MisClassified", 0, 0, 0), (DOG, "Discovered", 1, 1, 1), (OWL, "", 0, 0, 0)]
    assert told(settled, 2) == [(OWL, "Discovered", 1, 1, 1)]


def test_of_other_choices_only_what_is_named_is_settled() -> None:
    """A no to the given label says nothing of the others."""
    before, settled = of_votes(), settle(of_votes(), gold_of([(0, CAT, False)]), "each")
    assert told(settled, 0)[0] == (CAT, "MisClassified", 0, 0, 0)
    assert told(settled, 0)[1:] == told(before, 0)[1:]


@pytest.mark.parametrize("settled", [gold_of([]), gold_of([(0, CAT, True)])])
def test_trust_votes_and_all_other_tasks_stay_as_they_are(settled: Gold) -> None:
    """A decision is about its own labels alone."""
    before, after = of_votes(), settle(of_votes(), settled, "single")
    assert (before.trust == after.trust).all()
    assert (before.counts.yes == after.counts.yes).all()
    assert [told(before, task) for task in (1, 2, 3)] == [told(after, task) for task in (1, 2, 3)]

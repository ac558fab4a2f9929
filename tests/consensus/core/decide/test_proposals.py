"""What is right in the place of a label that is not."""

import numpy as np

from consensus.core.decide.proposals import Proposal, proposals

TASK = np.array([8, 7, 7, 7, 8, 9], dtype=np.int32)
LABEL = np.array([0, 0, 2, 1, 1, 0], dtype=np.int32)
POSTERIOR = np.array([0.1, 0.02, 0.49, 0.49, 0.9, 0.3])
WRONG = np.array([0, 1, 5])


def test_of_a_single_choice_the_best_of_the_tasks_other_labels_is_proposed() -> None:
    """Of equal ones the first label, in whatever order the rows are; without another label, nothing."""
    first, second, alone = proposals(TASK, LABEL, POSTERIOR, WRONG, one_of_many=True)
    assert (first, second) == (Proposal((4,), 0.9), Proposal((3,), 0.49))
    assert alone.rows == ()
    assert np.isnan(alone.posterior)


def test_a_wrong_label_is_not_proposed_for_itself() -> None:
    """Not even where it is the likeliest: a policy that counts votes may reject it."""
    [only] = proposals(TASK, LABEL, POSTERIOR, np.array([4]), one_of_many=True)
    assert only == Proposal((0,), 0.1)


def test_of_a_multiple_choice_all_that_is_taken_to_be_right_is_proposed() -> None:
    """With the lowest of their posteriors; nothing where no other label is likely."""
    task, label = np.zeros(4, dtype=np.int32), np.arange(4, dtype=np.int32)
    posterior = np.array([0.05, 0.95, 0.5, 0.75])
    assert proposals(task, label, posterior, np.array([0]), one_of_many=False) == [Proposal((1, 3), 0.75)]
    assert proposals(task, label, posterior * 0.5, np.array([0]), one_of_many=False)[0].rows == ()

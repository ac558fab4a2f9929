from dataclasses import replace

import numpy as np
import pytest

from ml_backend.core.model_selection import Contest

N = 200
RNG = np.random.default_rng(0)
LABEL = RNG.integers(0, 2, N)
SHARES = np.eye(2, dtype=np.float32)[LABEL]
FOLDS = np.arange(N) % 5
EVEN = np.full((N, 2), 0.5, dtype=np.float32)


def right_with(chance: float, seed: int) -> np.ndarray:
    """Opinions that give a label ``chance`` and are right as often."""
    right = np.random.default_rng(seed).random(N) < chance
    label = np.where(right, LABEL, 1 - LABEL)
    return np.where(np.eye(2)[label] > 0, chance, 1 - chance).astype(np.float32)


def contest(clusters: np.ndarray, linear: np.ndarray | None = None) -> Contest:
    """A contest of one opinion each."""
    return Contest(
        {1.0: clusters},
        {} if linear is None else {1.0: linear},
        SHARES,
        np.ones(N, dtype=np.float32),
        FOLDS,
        multiple=False,
        careful=False,
    )


@pytest.mark.parametrize(("clusters", "linear"), [(0.9, None), (None, 0.9)])
def test_the_one_that_knows_answers(clusters: float | None, linear: float | None) -> None:
    """Where one opinion is always even, the other one answers, as sharp as it is."""
    opinions = [EVEN if chance is None else right_with(chance, 1) for chance in (clusters, linear)]
    winner, probabilities = contest(*opinions).run()
    np.testing.assert_allclose(winner.pool.join(*opinions, multiple=False), right_with(0.9, 1), atol=0.05)
    np.testing.assert_allclose(probabilities, right_with(0.9, 1), atol=0.15)


def test_two_independent_opinions_are_blended() -> None:
    """Where both know something that the other does not, together they know more than either."""
    one, other = right_with(0.75, 1), right_with(0.75, 2)
    winner, probabilities = contest(one, other).run()
    assert 0 < winner.pool.share < 1
    alone = [contest(each).run()[1] for each in (one, other)]
    loss = [-np.log(each[np.arange(N), LABEL]).mean() for each in (probabilities, *alone)]
    assert loss[0] < min(loss[1:]) - 0.05


def test_opinions_that_cannot_be_told_apart_are_blended_evenly() -> None:
    """Of two that are right as often on 20 tasks, neither answers alone because chance favoured it there."""
    for seed in range(10):
        few = np.arange(20)
        one, other = (right_with(0.75, seed * 2 + number)[few] for number in (1, 2))
        winner, _ = replace(
            contest(one, other), shares=SHARES[few], weights=np.ones(20, dtype=np.float32), folds=FOLDS[few]
        ).run()
        assert 0 < winner.pool.share < 1


def test_an_opinion_that_is_too_sure_is_toned_down() -> None:
    """Scores of 0.99 that are right 3 times of 4 become scores of about 3/4."""
    right = right_with(0.75, 1)
    winner, probabilities = contest(np.where(right > 0.5, 0.99, 0.01).astype(np.float32)).run()
    assert winner.pool.sharpness < 1
    assert abs(probabilities.max(axis=1).mean() - 0.75) < 0.05


def test_careful_contests_never_sharpen() -> None:
    """Scores of 0.6 that are always right stay at 0.6 where there are too few tasks to be sure."""
    timid = np.where(SHARES > 0, 0.6, 0.4).astype(np.float32)
    winner, _ = replace(contest(timid), careful=True).run()
    assert winner.pool.sharpness < 1
    assert contest(timid).run()[0].pool.sharpness > 3.9


def test_the_fewer_tasks_the_more_careful() -> None:
    """What 20 tasks show is believed less than what 200 show."""
    probabilities = np.where(SHARES > 0, 0.6, 0.4).astype(np.float32)
    many = contest(probabilities)
    few = replace(contest(probabilities[:20]), shares=SHARES[:20], weights=many.weights[:20], folds=FOLDS[:20])
    assert few.run()[0].pool.sharpness < many.run()[0].pool.sharpness


def test_a_fold_has_no_say_in_what_is_chosen_for_it() -> None:
    """Whatever annotators said of one fold, its own probabilities are the same; those of other folds are not."""
    opinions = right_with(0.75, 1), right_with(0.75, 2)
    wrong = np.where((FOLDS == 0)[:, None], 1 - SHARES, SHARES)
    one, other = contest(*opinions).run()[1], replace(contest(*opinions), shares=wrong).run()[1]
    np.testing.assert_array_equal(one[FOLDS == 0], other[FOLDS == 0])
    assert (one[FOLDS != 0] != other[FOLDS != 0]).any()


def test_tasks_count_by_their_weight() -> None:
    """Where only tasks on which the clusters are right weigh, these are sharpened as if always right."""
    probabilities = right_with(0.75, 1)
    right = (probabilities[np.arange(N), LABEL] > 0.5).astype(np.float32)
    assert replace(contest(probabilities), weights=right).run()[0].pool.sharpness > 3.9


def test_labels_of_a_multiple_choice_are_judged_one_by_one() -> None:
    """A label that is always chosen and one that never is: the opinion that says so wins."""
    shares = np.tile(np.array([1, 0], dtype=np.float32), (N, 1))
    says_so = np.tile(np.array([0.9, 0.1], dtype=np.float32), (N, 1))
    wrong = np.full((N, 2), 0.9, dtype=np.float32)
    made = replace(contest(wrong, says_so), shares=shares, multiple=True)
    winner, probabilities = made.run()
    assert winner.pool.share == 1
    assert (probabilities[:, 0] > 0.99).all()
    assert (probabilities[:, 1] < 0.01).all()

import numpy as np
from made_label_matrices import matrix_from
from made_votes import chosen, fitted, scored

from consensus.core.model.prototypes import fit_prototypes
from consensus.core.votes.votes import Votes


def ratings(n_tasks: int, n_annotators: int, per_task: int, seed: int) -> tuple[Votes, np.ndarray]:
    """Ratings from 0 to 4 by annotators who are too low, too high or near the middle, and vary; and the truth."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(5, size=n_tasks)
    shift = generator.choice([-0.8, 0.0, 0.8], n_annotators)
    stretch = generator.choice([0.6, 1.0], n_annotators)
    answers = {}
    for task in range(n_tasks):
        for annotator in generator.choice(n_annotators, size=per_task, replace=False):
            seen = 2 + stretch[annotator] * (truth[task] - 2) + shift[annotator] + generator.normal(0, 0.7)
            answers[task, int(annotator)] = int(np.clip(np.rint(seen), 0, 4))
    return chosen(answers, 5, n_tasks=n_tasks, n_annotators=n_annotators), truth


def test_annotators_with_few_votes_on_ordered_classes_learn_from_one_another() -> None:
    """Where six prototypes say more than a confusion matrix each, `default` is right about more tasks."""
    gain = []
    for seed in range(3):
        votes, truth = ratings(100, 40, 10, seed)
        usual, averaged = (
            (each.posterior.reshape(-1, 5).argmax(axis=1) == truth).mean()
            for each in (fitted(votes), scored(votes))
        )
        gain.append(averaged - usual)
    assert np.mean(gain) > 0.02


def test_annotators_of_a_kind_share_what_is_known_of_them() -> None:
    """Who has said one thing only is taken for one of those who say the same."""
    generator = np.random.default_rng(0)
    truth = generator.integers(2, size=60)
    said = [{by: int(each if by < 3 else 0) for by in range(5)} for each in truth]
    table = fit_prototypes(matrix_from(said, 5, 2), np.full((5, 2, 2), np.nan), 1e-4).table
    np.testing.assert_allclose(table.sum(axis=2), 1)
    np.testing.assert_allclose(table[3], table[4])
    assert table[0, 1, 1] > 0.9
    assert table[4, 1, 1] < 0.2


def test_a_matrix_that_is_set_by_hand_stays() -> None:
    """Whatever the votes say."""
    by_hand = np.full((2, 2, 2), np.nan)
    by_hand[1] = [[0.9, 0.1], [0.2, 0.8]]
    label_matrix = matrix_from([{0: 0, 1: 1}, {0: 1, 1: 0}], 2, 2)
    np.testing.assert_allclose(fit_prototypes(label_matrix, by_hand, 1e-4).table[1], by_hand[1])

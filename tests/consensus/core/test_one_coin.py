import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import SKIP, any_votes, chosen, few_examples, gold_of, listed_of, simulated_choices, to_learn

from consensus.core.belief import Belief
from consensus.core.classifications import classify
from consensus.core.one_coin import EXPECTED_ACCURACY, HIGHEST, ROUNDS, TOLERANCE, fit_one_coin
from consensus.core.population import population_of
from consensus.core.votes import Votes


def fit(votes: Votes, trust: list[float] | None = None, gold: list[tuple[int, int, bool]] | None = None) -> Belief:
    """Fit to votes, with nothing listed."""
    fixed = to_learn(votes) if trust is None else np.array(trust)
    return fit_one_coin(votes, classify(votes, listed_of()), gold_of(gold or []), fixed)


def brute_force(votes: Votes, gold: dict[int, int]) -> tuple[list[list[float]], list[float]]:
    """The posterior of each voted task's labels and the trust, vote by vote and label by label."""
    rows = [
        (int(task), int(by), int(label))
        for task, by, label in zip(votes.task, votes.annotator, votes.label, strict=True)
        if label >= 0
    ]
    n_labels, n_annotators = votes.n_labels, votes.n_annotators
    wrong = max(n_labels - 1, 1)
    accuracy, prevalence = [EXPECTED_ACCURACY] * n_annotators, [1 / n_labels] * n_labels

    def believed(task: int, without: int | None = None) -> list[float]:
        score = [math.log(share) for share in prevalence]
        for at, by, label in rows:
            if at == task and by != without:
                score[label] += math.log(accuracy[by] * wrong / (1 - accuracy[by]))
        mass = [math.exp(one - max(score)) for one in score]
        return [one / sum(mass) for one in mass]

    for _ in range(ROUNDS):
        hits, worth = np.zeros(n_annotators), np.zeros(n_annotators)
        for task, by, label in rows:
            if task in gold:
                hits[by] += label == gold[task]
                worth[by] += 1
            elif any(at == task and other != by for at, other, _ in rows):
                others = believed(task, without=by)
                sure = sum(share**2 for share in others)
                luck = (1 - sure) / wrong
                hits[by] += others[label] - luck
                worth[by] += sure - luck
        population = population_of(hits, worth, expected=EXPECTED_ACCURACY)
        learned = np.clip(population.shrink(hits, worth), 1 / (wrong + 1), HIGHEST)
        tasks = sorted({task for task, _, _ in rows})
        counted = [sum(believed(task)[label] for task in tasks) for label in range(n_labels)]
        moved = max(abs(learned - accuracy))
        moved, learned = moved / 2, (learned + accuracy) / 2
        accuracy, prevalence = list(learned), [(one + 1 / n_labels) / (len(tasks) + 1) for one in counted]
        if moved < TOLERANCE:
            break
    chance = 1 / (wrong + 1)
    voted = sorted(set(votes.task.tolist()))
    return [believed(task) for task in voted], [max((one - chance) / (1 - chance), 0) for one in accuracy]


@few_examples
@given(
    any_votes(choices=("single",), annotators=2), st.dictionaries(st.integers(0, 4), st.integers(0, 3), max_size=2)
)
def test_fit_is_that_of_counting_one_by_one(votes: Votes, known: dict[int, int]) -> None:
    """Posterior and trust are those of leaving each vote out by summing up all the others."""
    gold = {task: label for task, label in known.items() if task < votes.n_tasks and label < votes.n_labels}
    posterior, trust = brute_force(votes, gold)
    belief = fit(votes, gold=[(task, label, True) for task, label in gold.items()])
    np.testing.assert_allclose(belief.trust, trust, atol=1e-9)
    np.testing.assert_allclose(belief.posterior, np.array(posterior).ravel(), atol=1e-9)


def test_posterior_of_fixed_trust_by_hand() -> None:
    """Of three labels, two votes right 4 times in 5 against one: odds 16/4 of 8 : 1 each, hence 64 : 8 : 1 of 73.

    Odds of a vote are p (k - 1) / (1 - p) = 8; the prevalence is even as all labels share the other tasks.
    """
    answers = {(0, 0): 0, (0, 1): 0, (0, 2): 1, (1, 0): 1, (1, 1): 1, (1, 2): 2, (2, 0): 2, (2, 1): 2, (2, 2): 0}
    belief = fit(chosen(answers, n_labels=3), trust=[7 / 10] * 3)
    expected = [[64 / 73, 8 / 73, 1 / 73], [1 / 73, 64 / 73, 8 / 73], [8 / 73, 1 / 73, 64 / 73]]
    np.testing.assert_allclose(belief.posterior.reshape(3, 3), expected, atol=1e-9)


def test_trust_of_gold_by_hand() -> None:
    """Three right of four on gold, alone: mean (3 + 3/2) / 6 of strength 4, so accuracy 6/8 and trust 5/8."""
    answers = {(0, 0): 0, (1, 0): 1, (2, 0): 2, (3, 0): 0}
    belief = fit(chosen(answers, n_labels=3), gold=[(0, 0, True), (1, 1, True), (2, 2, True), (3, 1, True)])
    assert belief.trust.tolist() == pytest.approx([5 / 8], abs=1e-5)
    assert belief.evidence.tolist() == [4]
    assert belief.variance.tolist() == pytest.approx([1 / ((4 + 4) * 6 / 8 * 2 / 8)] * 12, abs=1e-5)


def test_wrong_gold_says_nothing_of_a_single_choice() -> None:
    """That a label is wrong leaves open which one is right: the right labels teach, the wrong ones do not."""
    votes = chosen({(0, 0): 0, (0, 1): 0, (1, 0): 1, (1, 1): 2}, n_labels=3)
    assert fit(votes, gold=[(0, 0, False), (1, 1, False)]).trust.tolist() == fit(votes).trust.tolist()


def test_no_trust_is_no_evidence_with_ten_thousand_labels() -> None:
    """Votes of trust 0 leave every label as probable as any other, however many labels there are."""
    belief = fit(chosen({(0, 0): 5, (0, 1): 5}, n_labels=10_000), trust=[0, 0])
    np.testing.assert_allclose(belief.posterior, 1e-4, rtol=1e-6)


def test_sole_voter_gains_nothing_from_a_popular_label() -> None:
    """Somebody who always says what is most frequent, where nobody else votes, is trusted as a newcomer is."""
    shared = {(task, by): int(task % 4 == 0) for task in range(12) for by in range(3)}
    alone = {(task, 3): 0 for task in range(12, 24)}
    belief = fit(chosen(shared | alone, n_labels=3, n_annotators=5))
    assert belief.evidence[3:].tolist() == [0, 0]
    assert belief.trust[3] == belief.trust[4]


def test_disagreeing_alone_is_judged_evenly() -> None:
    """Of two who never agree neither is trusted more, and less than two who always agree."""
    apart = fit(chosen({(task, by): by for task in range(6) for by in range(2)}, n_labels=3)).trust
    together = fit(chosen({(task, by): task % 3 for task in range(6) for by in range(2)}, n_labels=3)).trust
    assert apart[0] == pytest.approx(apart[1], abs=1e-9)
    assert apart[0] < together[0] - 0.3


def test_unanimity_of_a_hundred_is_finite() -> None:
    """A hundred annotators who agree on every task are believed, without overflow, up to the highest accuracy."""
    for n_labels in (3, 10_000):
        votes = chosen({(task, by): task % 3 for task in range(4) for by in range(100)}, n_labels)
        belief = fit(votes)
        assert belief.posterior.reshape(4, n_labels).argmax(axis=1).tolist() == [0, 1, 2, 0]
        assert belief.posterior.reshape(4, n_labels).max(axis=1) == pytest.approx(1, abs=1e-9)
        for column in (belief.posterior, belief.variance, belief.trust, belief.evidence):
            assert np.isfinite(column).all()
        assert (belief.trust > 0.95).all()


def test_rare_label_is_left_out_as_exactly_as_a_frequent_one() -> None:
    """A unanimous task of a label that is rare among 3,000 others teaches as much as any unanimous task."""
    answers = {(task, by + 5 * (task % 2)): 0 for task in range(3000) for by in range(5)}
    answers |= {(3000, by): 7 for by in range(10, 20)}
    belief = fit(chosen(answers, n_labels=10))
    assert belief.evidence[10:] == pytest.approx(1, abs=1e-9)


def test_skips_teach_and_say_nothing() -> None:
    """Skips change neither the posterior of the labels nor anybody's trust."""
    answers: dict[tuple[int, int], int | str] = {(0, 0): 0, (0, 1): 0, (1, 0): 1, (1, 1): 2, (2, 0): 2}
    without = fit(chosen(answers, n_labels=3, n_annotators=3))
    belief = fit(chosen(answers | {(0, 2): SKIP, (2, 1): SKIP}, n_labels=3, n_annotators=3))
    assert belief.posterior.tolist() == without.posterior.tolist()
    assert belief.trust.tolist() == without.trust.tolist()


def test_trust_is_the_chance_corrected_accuracy() -> None:
    """On simulated votes trust comes close to (p - 1/k) / (1 - 1/k), and spammers get next to none."""
    accuracy = np.concatenate([np.linspace(0.35, 0.95, 17), [0.25, 0.25, 0.05]])
    votes, _ = simulated_choices(accuracy, n_tasks=2000, n_labels=4, per_task=8, seed=11)
    trust = fit(votes).trust
    expected = np.maximum((accuracy - 1 / 4) / (3 / 4), 0)
    assert np.abs(trust - expected).mean() < 0.03
    assert np.abs(trust - expected).max() < 0.12
    assert (trust[-3:] < 0.06).all()


@pytest.mark.parametrize("seed", range(5))
def test_posterior_beats_the_majority(seed: int) -> None:
    """On simulated votes of good and bad annotators the probable label is right more often than the voted one."""
    accuracy = np.array([0.95] * 4 + [0.6] * 4 + [0.3] * 8)
    votes, truth = simulated_choices(accuracy, n_tasks=300, n_labels=4, per_task=5, seed=seed)
    counts = np.zeros((300, 4))
    np.add.at(counts, (votes.task, votes.label), 1)
    top = counts == counts.max(axis=1, keepdims=True)
    majority = (top / top.sum(axis=1, keepdims=True))[np.arange(300), truth].mean()
    ours = (fit(votes).posterior.reshape(300, 4).argmax(axis=1) == truth).mean()
    assert ours > majority + 0.05

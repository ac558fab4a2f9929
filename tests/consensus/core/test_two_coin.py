import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_votes import any_votes, few_examples, gold_of, listed_of, question, simulated_answers, to_learn, votes_of

from consensus.core.belief import Belief
from consensus.core.classifications import classify
from consensus.core.population import population_of
from consensus.core.two_coin import (
    EXPECTED_FALSE_POSITIVES,
    EXPECTED_SENSITIVITY,
    HIGHEST,
    LOWEST,
    ROUNDS,
    TOLERANCE,
    fit_two_coin,
)
from consensus.core.votes import Votes


def fit(
    votes: Votes,
    trust: list[float] | None = None,
    gold: list[tuple[int, int, bool]] | None = None,
    listed: list[tuple[int, int, bool]] | None = None,
) -> Belief:
    """Fit to votes of choice "each"."""
    fixed = to_learn(votes) if trust is None else np.array(trust)
    return fit_two_coin(votes, classify(votes, listed_of(listed or [])), gold_of(gold or []), fixed)


def brute_force(votes: Votes, gold: dict[tuple[int, int], bool]) -> tuple[list[float], np.ndarray]:
    """The posterior of each voted classification and the trust, vote by vote."""
    columns = (votes.task, votes.label, votes.annotator, votes.vote)
    every = [(int(task), int(label), int(by), int(vote)) for task, label, by, vote in zip(*columns, strict=True)]
    rows = [((task, label), by, vote > 0) for task, label, by, vote in every if vote]
    size = votes.n_annotators
    rates = np.tile([EXPECTED_SENSITIVITY, EXPECTED_FALSE_POSITIVES], (size, 1))
    prevalence = 0.5

    def believed(what: tuple[int, int], without: int | None = None) -> float:
        right, wrong = prevalence, 1 - prevalence
        for at, by, yes in rows:
            if at == what and by != without:
                right *= rates[by, 0] if yes else 1 - rates[by, 0]
                wrong *= rates[by, 1] if yes else 1 - rates[by, 1]
        return float(right / (right + wrong))

    for _ in range(ROUNDS):
        gram, said = np.zeros((size, 2, 2)), np.zeros((size, 2))
        for what, by, yes in rows:
            if what in gold:
                belief = float(gold[what])
            elif any(at == what and other != by for at, other, _ in rows):
                belief = believed(what, without=by)
            else:
                continue
            both = np.array([belief, 1 - belief])
            gram[by] += np.outer(both, both)
            said[by] += both * yes
        start = np.array([EXPECTED_SENSITIVITY, EXPECTED_FALSE_POSITIVES])
        pooled = np.linalg.solve(gram.sum(axis=0) + np.eye(2), said.sum(axis=0) + start)
        priors = [
            population_of(said[:, one] - gram[:, 0, 1] * pooled[1 - one], gram[:, one, one], expected=start[one])
            for one in (0, 1)
        ]
        ridge, mean = np.diag([prior.strength for prior in priors]), np.array([prior.mean for prior in priors])
        learned = np.array([np.linalg.solve(gram[by] + ridge, said[by] + ridge @ mean) for by in range(size)])
        learned = np.clip(learned, LOWEST, HIGHEST)
        asked = sorted({what for what, _, _ in rows})
        counted = sum(believed(what) for what in asked)
        learned = (learned + rates) / 2
        moved = np.abs(learned - rates).max()
        rates, prevalence = learned, (counted + 1) / (len(asked) + 2)
        if moved < TOLERANCE:
            break
    everything = sorted({(task, label) for task, label, _, _ in every})
    return [believed(what) for what in everything], np.maximum(rates[:, 0] - rates[:, 1], 0)


known_answers = st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 3)), st.booleans(), max_size=3)


@few_examples
@given(any_votes(choices=("each",), annotators=2), known_answers)
def test_fit_is_that_of_counting_one_by_one(votes: Votes, known: dict[tuple[int, int], bool]) -> None:
    """Posterior and trust are those of leaving each vote out by multiplying all the others."""
    gold = {at: right for at, right in known.items() if at[0] < votes.n_tasks and at[1] < votes.n_labels}
    posterior, trust = brute_force(votes, gold)
    belief = fit(votes, gold=[(*at, right) for at, right in gold.items()])
    np.testing.assert_allclose(belief.trust, trust, atol=1e-9)
    np.testing.assert_allclose(belief.posterior, posterior, atol=1e-9)


def test_posterior_of_fixed_trust_by_hand() -> None:
    """A trust of 3/5 is right 4 times in 5 both ways: two yes against one no are odds of 4 : 1.

    A second question with the opposite votes keeps the prevalence at one half.
    """
    rows = [(0, 0, 0, 1), (0, 1, 0, 1), (0, 2, 0, -1), (1, 0, 0, -1), (1, 1, 0, -1), (1, 2, 0, 1)]
    belief = fit(votes_of("each", rows, 2, 3, 1), trust=[3 / 5] * 3)
    np.testing.assert_allclose(belief.posterior, [4 / 5, 1 / 5], atol=1e-12)


def test_trust_of_gold_by_hand() -> None:
    """Alone on gold, 3 of 4 right ones and 1 of 4 wrong ones yes: each rate shrunk with strength 4.

    Sensitivity: mean (3 + 2 * 0.8 + ...) / 6 = 4.6 / 6 and (3 + 4 * 4.6 / 6) / 8; false positives mirror it.
    """
    stands = [1, 1, 1, -1, 1, -1, -1, -1]
    votes = votes_of("each", [(task, 0, 0, stand) for task, stand in enumerate(stands)], 8, 1, 1)
    belief = fit(votes, gold=[(task, 0, task < 4) for task in range(8)])
    sensitivity = (3 + 4 * (4.6 / 6)) / 8
    assert belief.trust.tolist() == pytest.approx([2 * sensitivity - 1], abs=1e-5)
    assert belief.evidence.tolist() == [8]
    odds = sensitivity / (1 - sensitivity)
    assert belief.variance.tolist() == pytest.approx([(1 / odds + odds) / (4 + 4)] * 8, abs=1e-4)


@few_examples
@given(any_votes(choices=("each",)))
def test_yes_and_no_are_alike(votes: Votes) -> None:
    """Turning every vote round turns every posterior round and leaves every trust."""
    turned = votes_of(
        "each",
        zip(votes.task, votes.annotator, votes.label, -votes.vote, strict=True),
        votes.n_tasks,
        votes.n_annotators,
        votes.n_labels,
    )
    this, opposite = fit(votes), fit(turned)
    np.testing.assert_allclose(this.posterior, 1 - opposite.posterior, atol=1e-9)
    np.testing.assert_allclose(this.trust, opposite.trust, atol=1e-9)
    np.testing.assert_allclose(this.variance, opposite.variance, rtol=1e-6)


def test_sole_voter_gains_nothing_from_the_usual_answer() -> None:
    """Somebody who always gives the usual answer, where nobody else does, is trusted as a newcomer is."""
    shared = [(task, by, 0, -1 if task % 4 else 1) for task in range(12) for by in range(3)]
    alone = [(task, 3, 0, -1) for task in range(12, 40)]
    belief = fit(votes_of("each", shared + alone, 40, 5, 1))
    assert belief.evidence[3:].tolist() == [0, 0]
    assert belief.trust[3] == belief.trust[4]


def test_always_yes_earns_no_trust() -> None:
    """Somebody who says yes to everything agrees often where most is right, and is still not trusted."""
    rows = [(task, by, 0, 1 if task % 5 else -1) for task in range(60) for by in range(3)]
    trust = fit(votes_of("each", rows + [(task, 3, 0, 1) for task in range(60)], 60, 4, 1)).trust
    assert (trust[:3] > 0.9).all()
    assert trust[3] < 0.1


def test_unvoted_classification_has_the_prevalence() -> None:
    """A listed label that nobody voted on is as probable as any other, and no annotator is in doubt for it."""
    rows = [(task, by, 0, 1 if task < 3 else -1) for task in range(12) for by in range(5)]
    belief = fit(votes_of("each", rows, 13, 5, 1), listed=[(12, 0, True)])
    assert belief.posterior[12] == pytest.approx((3 + 1) / (12 + 2), abs=0.01)
    assert belief.variance[12] == 0


@pytest.mark.parametrize("stands", [(100, 0), (0, 100), (50, 50)])
def test_hundred_votes_on_one_question_are_finite(stands: tuple[int, int]) -> None:
    """Unanimity and a draw of a hundred annotators neither overflow nor warn."""
    belief = fit(question(*stands))
    yes, no = stands
    assert belief.posterior[0] == pytest.approx((np.sign(yes - no) + 1) / 2, abs=1e-9)
    for column in (belief.posterior, belief.variance, belief.trust, belief.evidence):
        assert np.isfinite(column).all()


def test_trust_is_youdens_j() -> None:
    """On simulated votes trust comes close to s - f; guessing and lying get next to none."""
    sensitivity = np.concatenate([np.linspace(0.6, 0.95, 16), [0.5, 0.8, 0.2]])
    false_positives = np.concatenate([np.linspace(0.4, 0.05, 8), np.linspace(0.2, 0.1, 8), [0.5, 0.8, 0.8]])
    votes, _ = simulated_answers(sensitivity, false_positives, n_tasks=1500, per_task=6, seed=3, prevalence=0.3)
    trust = fit(votes).trust
    expected = np.maximum(sensitivity - false_positives, 0)
    assert np.abs(trust - expected).mean() < 0.04
    assert np.abs(trust - expected).max() < 0.12
    assert (trust[-3:] < 0.08).all()


@pytest.mark.parametrize("seed", range(5))
def test_posterior_beats_the_majority(seed: int) -> None:
    """On simulated votes of good and bad annotators the probable answer is right more often than the majority."""
    sensitivity = np.array([0.95] * 4 + [0.7] * 4 + [0.5] * 8)
    votes, truth = simulated_answers(sensitivity, 1 - sensitivity, n_tasks=400, per_task=5, seed=seed)
    majority = (np.bincount(votes.task, votes.vote) > 0) == truth
    ours = (fit(votes).posterior > 1 / 2) == truth
    assert ours.mean() > majority.mean() + 0.05

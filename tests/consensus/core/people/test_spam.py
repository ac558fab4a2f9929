"""Spam: who answers without looking, on simulated crowds; what the others say, by hand."""

import numpy as np
import pytest
from hypothesis import given
from made_votes import any_votes, chosen, few_examples, simulated_answers, simulated_choices, votes_of

from consensus.core.arrays import Floats
from consensus.core.people.answers import answers_of
from consensus.core.people.leave_one_out import Others, others_of
from consensus.core.people.spam import Spam, find_spam
from consensus.core.people.spammer_score import raykar_yu
from consensus.core.votes.votes import Votes


def judged(votes: Votes, trust: Floats | None = None) -> tuple[Others, Spam, Floats]:
    """What the others say, the tests, and the score of Raykar and Yu."""
    weight = np.ones(votes.n_annotators) if trust is None else trust
    answers = answers_of(votes)
    others = others_of(answers, weight)
    return others, find_spam(answers, others), raykar_yu(answers, others, weight)


def test_the_others_are_counted_without_oneself() -> None:
    """Three answers, cat cat dog: for each of the first two half of the others agree, for the third nobody."""
    others, _, _ = judged(chosen({(0, 0): 0, (0, 1): 0, (0, 2): 1}, 2))
    assert others.same.tolist() == [0.5, 0.5, 0]
    assert others.weight.tolist() == [2, 2, 2]
    assert others.row.tolist() == [0, 0, 1, 1, 2]
    assert others.answer.tolist() == [0, 1, 0, 1, 0]


@given(any_votes())
@few_examples
def test_expectations_are_probabilities(votes: Votes) -> None:
    """What is expected of all answers adds up to one, whoever voted on whatever."""
    answers = answers_of(votes)
    others, spam, score = judged(votes)
    total = sum(
        others.expected_of(answers, np.full(len(answers), answer, dtype=np.int32))
        for answer in range(answers.n_answers)
    )
    assert total == pytest.approx(np.ones(len(answers)))
    for values in (spam.spam_p, spam.contrary_p, spam.same_p, score):
        assert ((np.isnan(values)) | ((values >= 0) & (values <= 1))).all()


def test_who_answers_at_random_is_found() -> None:
    """Simulated: one of ten guesses among four labels on about 300 tasks; nobody else comes near."""
    accuracy = np.array([0.25] + [0.85] * 9)
    votes, _ = simulated_choices(accuracy, 600, 4, 5, seed=3)
    _, spam, score = judged(votes)
    assert spam.spam_p[0] < 1e-4
    assert (spam.spam_p[1:] > 0.99).all()
    assert score[0] < 0.1
    assert score[1:].min() > 0.4


def test_three_votes_accuse_nobody() -> None:
    """Three answers that nobody shares could be bad luck."""
    said: dict[tuple[int, int], int | str] = {(task, who): 0 for task in range(3) for who in range(1, 6)}
    _, spam, _ = judged(chosen({**said, (0, 0): 1, (1, 0): 2, (2, 0): 3}, 4))
    assert spam.answers[0] == 3
    assert spam.agreed[0] == 0
    assert spam.spam_p[0] > 0.2


def test_who_answers_the_opposite_is_worse_than_guessing() -> None:
    """Simulated: yes where it is no on most of 200 questions; that is no spam, and the score says so."""
    rates = np.full(8, 0.9), np.full(8, 0.1)
    rates[0][0], rates[1][0] = 0.1, 0.9
    votes, _ = simulated_answers(*rates, n_tasks=200, per_task=8, seed=4)
    _, spam, score = judged(votes, np.array([0.0] + [0.8] * 7))
    assert spam.contrary_p[0] < 1e-6
    assert score[0] > 0.4


def test_who_always_says_the_same_is_found() -> None:
    """Always the first of two labels, 80 times; those who look are not, and nobody is where one label rules."""
    looks = {(task, who): task % 2 for task in range(80) for who in range(1, 5)}
    rote: dict[tuple[int, int], int | str] = {(task, 0): 0 for task in range(80)}
    _, spam, _ = judged(chosen({**rote, **looks}, 2))
    assert (spam.top[0], spam.top_share[0]) == (0, 1)
    assert spam.same_p[0] < 0.01
    assert (spam.same_p[1:] == 1).all()
    rules: dict[tuple[int, int], int | str] = {(task, who): 0 for task in range(80) for who in range(5)}
    _, spam, _ = judged(chosen(rules, 2))
    assert (spam.same_p > 0.3).all()


def test_without_others_nothing_is_known() -> None:
    """A lone annotator has no p-values and no score."""
    _, spam, score = judged(chosen({(0, 0): 1, (1, 0): 0}, 2))
    assert spam.answers.tolist() == [0]
    assert np.isnan([spam.spam_p[0], spam.contrary_p[0], spam.same_p[0], spam.agreed[0], score[0]]).all()


def test_the_score_of_perfect_annotators_and_of_one_who_says_the_same() -> None:
    """Full trust, 50 questions of each of two truths: 1 for those who agree, 0 for always yes."""
    rows = [(task, who, 0, 1 if task % 2 or who == 3 else -1) for task in range(100) for who in range(4)]
    _, _, score = judged(votes_of("each", rows, 100, 4, 1), np.array([1.0, 1.0, 1.0, 0.0]))
    assert score == pytest.approx([1, 1, 1, 0], abs=0.01)


def test_the_score_is_the_published_formula() -> None:
    """Confusion rows (1, 0, 0), (0, 1, 0), (1/2, 1/2, 0): (2 + 1/2 + 1/2) / 6 = 1/2."""
    said: dict[tuple[int, int], int | str] = {}
    for task in range(6):
        said |= {(task, who): task // 2 for who in range(1, 6)}
        said[task, 0] = [0, 0, 1, 1, 0, 1][task]
    _, _, score = judged(chosen(said, 3))
    assert score[0] == pytest.approx(0.5, abs=0.01)


def test_simulated_honest_crowds_are_not_accused() -> None:
    """Forty crowds of twelve from poor to good, 2 to 60 votes each: nobody is below 0.01, adjusted."""
    generator = np.random.default_rng(5)
    accused = 0
    for seed in range(40):
        accuracy = generator.uniform(0.45, 0.95, 12)
        votes, _ = simulated_choices(accuracy, int(generator.integers(6, 150)), 4, 5, seed)
        _, spam, _ = judged(votes)
        accused += int(np.nanmin(spam.spam_p) * 12 <= 0.01) + int(np.nanmin(spam.same_p) * 12 <= 0.01)
    assert accused == 0

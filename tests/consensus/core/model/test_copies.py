from collections.abc import Callable

import numpy as np
import pytest
from made_label_matrices import matrix_from
from made_votes import gold_of, listed_of, scored

from consensus.core.arrays import Floats, Names
from consensus.core.decide.scoring import Scored
from consensus.core.model.copies import agreements, voices_of
from consensus.core.people import answers as people_answers
from consensus.core.people.suspicion import assess
from consensus.core.votes.classifications import Gold, classify
from consensus.core.votes.label_matrix import label_matrix_of
from consensus.core.votes.votes import Votes

Answers = np.ndarray[tuple[int, int], np.dtype[np.int64]]


def names(letter: str, number: int) -> Names:
    """Names of one kind."""
    return np.array([f"{letter}{code:03d}" for code in range(number)], dtype=object)


def votes_from(answers: Answers, n_labels: int, present: float = 1.0) -> Votes:
    """Votes from a table of tasks by annotators, each there with a probability."""
    there = np.random.default_rng(1).random(answers.shape) < present
    task, annotator = (codes.astype(np.int32) for codes in np.nonzero(there))
    label, vote = answers[task, annotator].astype(np.int32), np.ones(len(task), dtype=np.int8)
    sizes = names("t", len(answers)), names("a", answers.shape[1]), names("l", n_labels)
    return Votes("single", task, annotator, label, vote, *sizes)


def answers_of(generator: np.random.Generator, truth: Floats, right: Floats, n_labels: int) -> Answers:
    """Answers of annotators who are right in a share of the tasks, and else wrong in any way."""
    wrong = (truth[:, None] + generator.integers(1, n_labels, (len(truth), len(right)))) % n_labels
    return np.where(generator.random(wrong.shape) < right, truth[:, None], wrong)


def crowd(honest: Floats, alike: int, right: float, n_labels: int, present: float = 1.0) -> tuple[Votes, Floats]:
    """Honest annotators on 300 tasks, then accounts with the same answers; and the truth."""
    generator = np.random.default_rng(7)
    truth = generator.integers(n_labels, size=300)
    each = answers_of(generator, truth, np.append(honest, right), n_labels)
    return votes_from(
        np.append(each, np.repeat(each[:, -1:], alike - 1, axis=1), axis=1), n_labels, present
    ), truth


def accuracy(belief: Floats, truth: Floats) -> float:
    """Share of the tasks whose most believed label is right; ties count in parts."""
    top = belief >= belief.max(axis=1, keepdims=True) - 1e-9
    return float((top[np.arange(len(truth)), truth] / top.sum(axis=1)).mean())


def table_of(result: Scored, n_labels: int) -> Floats:
    """Posterior by task and label."""
    table = np.zeros((300, n_labels))
    table[result.classifications.task, result.classifications.label] = result.posterior
    return table


def majority(votes: Votes) -> Floats:
    """Votes by task and label."""
    table = np.zeros((300, votes.n_labels))
    np.add.at(table, (votes.task, votes.label), 1)
    return table


SIX, FIVE = np.full(6, 0.7), np.array([0.65, 0.7, 0.7, 0.75, 0.8])


@pytest.mark.parametrize(
    ("honest", "alike", "right", "n_labels", "present"),
    [
        (SIX, 3, 0.6, 4, 1.0),
        (FIVE, 3, 0.4, 4, 1.0),
        (FIVE, 4, 0.75, 4, 1.0),
        (FIVE[:4], 2, 0.6, 2, 1.0),
        (FIVE[:3], 3, 0.4, 4, 1.0),
        (SIX, 4, 0.6, 2, 0.6),
    ],
)
def test_accounts_that_answer_alike_do_not_take_over(
    honest: Floats, alike: int, right: float, n_labels: int, present: float
) -> None:
    """Whatever they are worth they are one voice, which the result names, and the majority is hardly better."""
    votes, truth = crowd(honest, alike, right, n_labels, present)
    result = scored(votes)
    accounts = tuple(map(str, votes.annotator_names[len(honest) :]))
    assert result.alike == (accounts,)
    ours, counted = table_of(result, n_labels), majority(votes)
    assert accuracy(ours, truth) >= accuracy(counted, truth) - 0.02
    if right < 0.65:
        assert result.trust[len(honest) :].max() < np.median(result.trust[: len(honest)])


def test_only_those_who_answer_alike_are_suspected() -> None:
    """Nobody honest is called a spammer or a copy, with the trust that was learned or with that of a takeover."""
    votes, _ = crowd(FIVE, 3, 0.4, 4)
    none = np.zeros(0, dtype=np.int32)
    for trust in (scored(votes).trust, np.array([0.25] * 5 + [0.99] * 3)):
        suspicions = assess(votes, people_answers.answers_of(votes), trust, none, np.zeros(0)).suspicions
        assert not any(suspicions[:5])
    assert {suspicion.kind for own in suspicions[5:] for suspicion in own} <= {"copying"}


def test_gold_outweighs_those_who_answer_alike() -> None:
    """Gold on 60 of 300 tasks leaves three accounts that are right in 0.4 of them less trust than anybody else."""
    votes, truth = crowd(SIX, 3, 0.4, 4)
    gold: Gold = gold_of([(task, int(truth[task]), True) for task in range(60)])
    trust = scored(votes, gold=gold).trust
    assert trust[6:].max() < trust[:6].min()


def half(generator: np.random.Generator, truth: Floats) -> Answers:
    """Four experts and four beginners."""
    return answers_of(generator, truth, np.repeat([0.92, 0.6], 4), 4)


def guessing(generator: np.random.Generator, truth: Floats) -> Answers:
    """Four experts among four who guess: nobody can judge the experts but they themselves."""
    return answers_of(generator, truth, np.repeat([0.9, 0.25], 4), 4)


def hard(generator: np.random.Generator, truth: Floats) -> Answers:
    """Three tasks in ten that mislead half of everybody to the same wrong label."""
    answers = answers_of(generator, truth, np.full(8, 0.85), 4)
    misled = (generator.random(len(truth)) < 0.3)[:, None] & (generator.random(answers.shape) < 0.5)
    return np.where(misled, (truth[:, None] + 1) % 4, answers)


@pytest.mark.parametrize("kind", [half, guessing, hard])
def test_honest_crowds_are_left_alone(kind: Callable[[np.random.Generator, Floats], Answers]) -> None:
    """Neither skill, nor tasks that mislead many, nor the company of guessers makes anybody answer alike."""
    generator = np.random.default_rng(2)
    truth = generator.integers(4, size=300)
    assert scored(votes_from(kind(generator, truth), 4)).alike == ()


def test_votes_of_a_voice_count_once() -> None:
    """Two of three who say the same are half a vote each; where they differ, both are one."""
    label_matrix = matrix_from([{0: 0, 1: 0, 2: 1}, {0: 0, 1: 1}, {2: 1}], 3, 2)
    voices = np.array([0, 0, 2], dtype=np.int32)
    counted = label_matrix.in_voices(voices)
    assert counted.one_hot.toarray().tolist() == [[0.5, 0, 0.5, 0, 0, 1], [1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1]]
    assert counted.voices_per_row.tolist() == [2, 2, 1]
    assert label_matrix.in_voices(voices) is counted
    assert label_matrix.in_voices(None) is label_matrix


def test_a_voice_does_not_vouch_for_itself() -> None:
    """A row that one voice alone speaks of teaches nothing, however many accounts it has."""
    label_matrix = matrix_from([{0: 0, 1: 0}, {0: 0, 2: 0}], 3, 2)
    assert label_matrix.in_voices(np.array([0, 0, 2], dtype=np.int32)).informative.tolist() == [False, True]


@pytest.mark.parametrize("n_parts", [1, 3])
def test_agreements_are_added_up(n_parts: int) -> None:
    """Common items and equal answers of every two, whole and in parts; of one annotator nobody is alike."""
    label_matrix = matrix_from([{0: 0, 1: 0}, {0: 1, 1: 0, 2: 1}, {2: 0}], 3, 2)
    counts = [agreements(part, 1) for part in label_matrix.split(n_parts)]
    total = counts[0] if n_parts == 1 else sum(counts[2:], counts[0] + counts[1])
    assert total.shared.tolist() == [[2, 2, 1], [2, 2, 1], [1, 1, 2]]
    assert total.same.tolist() == [[2, 1, 1], [1, 2, 0], [1, 0, 2]]
    assert total.said.tolist() == [[1, 1], [2, 0], [1, 1]]
    assert voices_of(counts) is None


def test_two_annotators_are_never_alike() -> None:
    """Without two others nobody can be judged."""
    votes, _ = crowd(np.array([0.9]), 3, 0.6, 4)
    label_matrix = label_matrix_of(votes, classify(votes, listed_of()), gold_of([]))[0]
    assert voices_of([agreements(label_matrix, 1)]) is None

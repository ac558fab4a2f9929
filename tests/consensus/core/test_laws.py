"""What any good model of annotators does, on both ways that a single choice can take."""

import numpy as np
import pytest
from made_votes import chosen, gold_of, scored, simulated_answers, simulated_choices

from consensus.core.decide.scoring import Scored
from consensus.core.votes.votes import Votes

labels = pytest.mark.parametrize("n_labels", [2, 3, 70])
Answers = dict[tuple[int, int], int | str]


def answers_of(votes: Votes) -> Answers:
    """A single choice without skips as {(task, annotator): label}."""
    rows = zip(votes.task.tolist(), votes.annotator.tolist(), votes.label.tolist(), strict=True)
    return {(task, by): label for task, by, label in rows}


def crowd(n_labels: int, size: int = 8, n_tasks: int = 120, per_task: int = 5) -> Answers:
    """Simulated votes of annotators who are right in 4 of 5."""
    return answers_of(simulated_choices(np.full(size, 0.8), n_tasks, n_labels, per_task, seed=1)[0])


def posterior(result: Scored, task: int, label: int) -> float:
    """The posterior of one classification."""
    rows = result.classifications
    return float(result.posterior[(rows.task == task) & (rows.label == label)][0])


@labels
def test_more_unanimous_votes_never_lower_the_posterior(n_labels: int) -> None:
    """Of strangers or of a crowd, each vote more for a label makes it more probable, up to nearly 1."""
    alone = [posterior(scored(chosen({(0, by): 1 for by in range(n)}, n_labels)), 0, 1) for n in range(1, 25)]
    known = crowd(n_labels)
    more = [
        posterior(scored(chosen(known | {(120, by): 1 for by in range(n)}, n_labels)), 120, 1) for n in range(1, 9)
    ]
    for column in (alone, more):
        assert (np.diff(column) > 0).all()
        assert column[0] > 1 / 2
    assert alone[-1] > 0.98


@labels
def test_votes_split_evenly_leave_labels_equal(n_labels: int) -> None:
    """Annotators who take turns on two sides leave both labels of each task as probable."""
    answers = {(task, by): (task + by) % 2 for task in range(6) for by in range(6)}
    result = scored(chosen(answers, n_labels))
    for task in range(6):
        assert posterior(result, task, 0) == pytest.approx(posterior(result, task, 1), abs=1e-9)


@labels
def test_two_who_always_disagree_are_trusted_alike(n_labels: int) -> None:
    """Nobody can say which of two is wrong: both have the same trust, below that of two who agree."""
    apart, together = (
        scored(chosen({(task, by): (task + by * sign) % 2 for task in range(12) for by in range(2)}, n_labels))
        for sign in (1, 0)
    )
    assert apart.trust[0] == pytest.approx(apart.trust[1], abs=1e-9)
    assert apart.trust[0] < together.trust[0] - 0.2


@labels
def test_somebody_who_always_says_the_same_has_next_to_no_trust(n_labels: int) -> None:
    """Whoever gives one answer to everything is right at times, and tells nothing."""
    result = scored(chosen(crowd(n_labels) | {(task, 8): 0 for task in range(120)}, n_labels))
    assert result.trust[8] < 0.1
    assert (result.trust[:8] > 0.4).all()


@labels
def test_an_adversary_has_no_trust_and_does_no_harm(n_labels: int) -> None:
    """Whoever is nearly always wrong weighs nothing, and the others' best labels stay as right as they were."""
    accuracy = np.array([0.8] * 6 + [0.02])
    votes, truth = simulated_choices(accuracy, 150, n_labels, 7, seed=3)
    result, without = scored(votes), scored(votes.rows(votes.annotator < 6))
    assert result.trust[6] < 0.05
    assert (result.trust[:6] > 0.4).all()
    right = [
        np.mean([posterior(one, task, int(true)) > 1 / 2 for task, true in enumerate(truth)])
        for one in (result, without)
    ]
    assert right[0] >= right[1] - 0.01


@labels
@pytest.mark.parametrize("answer", [0, 1])
def test_somebody_alone_neither_gains_nor_loses(n_labels: int, answer: int) -> None:
    """Forty tasks that nobody else voted on leave a newcomer's trust, even if gold calls another label wrong."""
    answers = crowd(n_labels) | {(task, 8): answer for task in range(120, 160)}
    gold = gold_of([(task, n_labels - 1, False) for task in range(120, 160)]) if n_labels == 3 else None
    result = scored(chosen(answers, n_labels, n_annotators=10), gold=gold)
    assert result.trust[8] == result.trust[9]


@labels
def test_copies_of_an_annotator_make_nobody_else_more_trusted(n_labels: int) -> None:
    """Whoever votes the same as a good annotator raises that one's trust, and not the others' but by a trace."""
    votes, _ = simulated_choices(np.array([0.9, 0.8, 0.7, 0.6]), 150, n_labels, 4, seed=0)
    answers = answers_of(votes)
    copied = answers | {(task, 4): label for (task, by), label in answers.items() if by == 0}
    before, after = scored(votes).trust, scored(chosen(copied, n_labels)).trust
    assert after[0] > before[0]
    assert after[0] == pytest.approx(after[4], abs=1e-9)
    assert (after[1:4] < before[1:4] + 0.02).all()
    assert after[1:4].mean() < before[1:4].mean() + 0.005


@labels
def test_gold_decides_whom_to_trust(n_labels: int) -> None:
    """Where two camps contradict each other, gold of some tasks lifts the one and sinks the other."""
    answers = {(task, by): (task + (by > 1)) % 2 for task in range(20) for by in range(4)}
    gold = gold_of([(task, task % 2, True) for task in range(8)])
    trust = scored(chosen(answers, n_labels), gold=gold).trust
    assert (trust[:2] > 0.4).all()
    assert (trust[2:] < 0.1).all()


def test_wrong_labels_teach_too() -> None:
    """Where gold says only that the label of one camp is wrong, on three labels, that camp loses trust."""
    answers = {(task, by): (task + (by > 1)) % 3 for task in range(24) for by in range(4)}
    votes = chosen(answers, 3)
    before = scored(votes).trust
    after = scored(votes, gold=gold_of([(task, (task + 1) % 3, False) for task in range(12)])).trust
    assert (after[2:] < before[2:] - 0.1).all()
    assert (after[:2] > before[:2] + 0.1).all()


@labels
def test_one_annotator_is_believed_but_not_much(n_labels: int) -> None:
    """Alone, somebody's label is likely, and as likely on each task; the trust is that of a newcomer."""
    result = scored(chosen({(task, 0): task % 2 for task in range(10)}, n_labels, n_annotators=2))
    found = [posterior(result, task, task % 2) for task in range(10)]
    assert found == pytest.approx([found[0]] * 10, abs=1e-9)
    assert 0.5 < found[0] < 0.9
    assert result.trust[0] == result.trust[1]


def test_one_label_is_always_right() -> None:
    """Where a control has one label, whoever votes is right, and nobody's trust is more than chance."""
    result = scored(chosen({(0, 0): 0, (0, 1): 0, (1, 0): 0}, 1))
    assert result.posterior.tolist() == [1, 1]
    assert result.trust.tolist() == [0, 0]


def test_very_unequal_prevalence() -> None:
    """Where 2 of 100 questions are right, good annotators' yeses are still believed, and trust is not lost."""
    sensitivity, false_positives = np.full(8, 0.9), np.full(8, 0.05)
    votes, truth = simulated_answers(sensitivity, false_positives, 1000, 5, seed=2, prevalence=0.02)
    result = scored(votes)
    assert truth.sum() > 10
    assert ((result.posterior > 1 / 2) == truth).mean() > 0.99
    assert result.posterior[truth].mean() > 0.75
    assert result.posterior[~truth].mean() < 0.1
    assert (result.trust > 0.5).all()


def test_disputed_second_votes_do_not_make_annotators_worse_than_guessing() -> None:
    """Where the only tasks with two votes are disputed ones, trust falls, and stays well above that of a guess."""
    pairs, truth = simulated_choices(np.full(30, 0.7), 300, 4, per_task=2, seed=0)
    first = np.unique(pairs.task, return_index=True)[1]
    second = np.setdiff1d(np.arange(len(pairs)), first)
    disputed = second[pairs.label[second] != pairs.label[first][pairs.task[second]]][:40]
    result = scored(pairs.rows(np.sort(np.append(first, disputed))))
    best = result.posterior.reshape(300, 4).argmax(axis=1)
    assert result.trust.mean() > 0.25
    assert (best == truth).mean() > 0.6

"""Spam: answers that say nothing about the question, and answers that are always the same."""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Floats, sums
from consensus.core.people.answers import Answers
from consensus.core.people.leave_one_out import Others
from consensus.core.people.poisson_binomial import Entries, high_tail

LOOKED = 1 / 3
"""Share of answers for which somebody must have looked at the question not to be taken for a spammer."""
BY_ROTE = 0.75
"""Share of answers that may be given by rote before sameness is suspected."""
NEARLY_ALL = 0.98
"""Share of the same answer from which "always the same" is the word for it."""


@dataclass(frozen=True, eq=False)
class Spam:
    """Whether an annotator's answers say anything; columns of (n_annotators,).

    Attributes
    ----------
    answers : int64
        Answers to questions that others answered, too.
    agreed, by_habit, typical : float64
        Share of the others (each by trust) who gave the same answer; what it would be if the annotator's answers
        were shuffled among the questions; and what the typical annotator reaches on them. NaN without answers.
    spam_p : float64
        p-value of "looks at `LOOKED` of the questions at least". NaN without answers.
    contrary_p : float64
        p-value of "guesses", where the agreement is lower than that of guessing. NaN without answers.
    top : int32
        The most frequent answer; -1 without answers.
    top_share : float64
        Share of the answers that are this one.
    expected_share : float64
        The same for the typical annotator on these questions.
    same_p : float64
        p-value of "gives it by rote in `BY_ROTE` of the cases at most".
    """

    answers: Codes
    agreed: Floats
    by_habit: Floats
    typical: Floats
    spam_p: Floats
    contrary_p: Floats
    top: Codes
    top_share: Floats
    expected_share: Floats
    same_p: Floats


def find_spam(answers: Answers, others: Others) -> Spam:
    """Test who answers without looking.

    An honest annotator is modelled as one who, for a share `LOOKED` of the questions or more, answers as the
    typical annotator would who knows the others' answers, and by an own habit for the rest. The statistic is the
    agreement with the others; its lower tail under the least honest of these is the p-value.

    Parameters
    ----------
    others : Others
        Of the same answers.
    """
    comparable = others.weight > 0
    count = np.bincount(answers.annotator[comparable], minlength=answers.n_annotators)
    entry = comparable[others.row]
    row, answer = others.row[entry], others.answer[entry]
    share, expected = others.share[entry], others.expected[entry]
    of_entry = answers.annotator[row]
    mine = answer == answers.answer[row]
    agreement = sums(row[mine], share[mine], len(answers))
    habit = _habit(answers, others, comparable)[of_entry, answer]
    often = _frequency(answers, comparable)[of_entry, answer]

    def so_little_under(probability: Floats) -> Floats:
        # So little agreement is the upper tail of disagreement.
        entries = Entries((np.cumsum(comparable) - 1)[row], -share, probability)
        who = answers.annotator[comparable]
        p_value = high_tail(who, -agreement[comparable], entries, answers.n_annotators, answers.together)
        return np.where(count > 0, p_value, np.nan)

    trusted = 1 - others.floor  # undoes the shrinkage: plain shares are what a person understands
    plain = share / trusted[row]
    top, top_share, expected_share, same_p = _sameness(answers, others, comparable)

    def mean(values: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            return np.asarray(sums(of_entry, values, answers.n_annotators) / np.where(count > 0, count, np.nan))

    return Spam(
        answers=count.astype(np.int32),
        agreed=mean(plain * mine),
        by_habit=mean(plain * often),
        typical=mean(plain * expected),
        spam_p=so_little_under(LOOKED * expected + (1 - LOOKED) * habit),
        contrary_p=so_little_under(often),
        top=top,
        top_share=top_share,
        expected_share=expected_share,
        same_p=np.where(count > 0, same_p, np.nan),
    )


def _frequency(answers: Answers, comparable: np.typing.NDArray[np.bool_]) -> Floats:
    """(n_annotators, n_answers): how often each annotator gives each answer."""
    k = max(answers.n_answers, 1)
    key = answers.annotator[comparable].astype(np.int64) * k + answers.answer[comparable]
    counts = np.bincount(key, minlength=answers.n_annotators * k).reshape(answers.n_annotators, k)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), dtype=np.float64)


def _habit(answers: Answers, others: Others, comparable: np.typing.NDArray[np.bool_]) -> Floats:
    """How the least honest annotator would answer without looking, to give the answers that were seen in all.

    What is given after looking is taken off the frequencies; the rest is the habit.
    """
    frequency = _frequency(answers, comparable)
    entry = comparable[others.row]
    k = max(answers.n_answers, 1)
    key = answers.annotator[others.row[entry]].astype(np.int64) * k + others.answer[entry]
    count = np.bincount(answers.annotator[comparable], minlength=len(frequency))
    after = (
        sums(key, others.expected[entry], frequency.size).reshape(frequency.shape) / np.maximum(count, 1)[:, None]
    )
    unexplained = np.maximum(frequency - LOOKED * after, 0.0)
    return np.asarray(unexplained / np.maximum(unexplained.sum(axis=1, keepdims=True), 1e-300), dtype=np.float64)


def _sameness(
    answers: Answers, others: Others, comparable: np.typing.NDArray[np.bool_]
) -> tuple[Codes, Floats, Floats, Floats]:
    """The most frequent answer, its share, the share to be expected, and the p-value of so much sameness."""
    frequency = _frequency(answers, comparable)
    count = np.bincount(answers.annotator[comparable], minlength=answers.n_annotators)
    top = np.where(count > 0, frequency.argmax(axis=1), -1).astype(np.int32)
    top_answer = np.maximum(top, 0)[answers.annotator]
    expected = others.expected_of(answers, top_answer)
    who = answers.annotator[comparable]
    rows = np.arange(len(who))
    entries = Entries(rows, np.ones(len(who)), BY_ROTE + (1 - BY_ROTE) * expected[comparable])
    is_top = (answers.answer == top_answer)[comparable].astype(np.float64)
    p_value = high_tail(who, is_top, entries, answers.n_annotators, answers.together, step=1)
    p_value = np.minimum(p_value * answers.n_answers, 1.0)  # the answer was picked for being the most frequent
    top_share = np.where(count > 0, frequency.max(axis=1, initial=0.0), np.nan)
    with np.errstate(invalid="ignore"):
        expected_share = sums(who, expected[comparable], answers.n_annotators) / np.where(count > 0, count, np.nan)
    return top, top_share, expected_share, np.where(top_share >= NEARLY_ALL, p_value, 1.0)

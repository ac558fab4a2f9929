"""Copying: two annotators who share answers that hardly anybody else gives."""

from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats, Keys, sums
from consensus.core.people.answers import Answers
from consensus.core.people.leave_one_out import Others
from consensus.core.people.pairs import pairs_of
from consensus.core.people.poisson_binomial import Entries, high_tail

BY_CHANCE = 0.2
"""Share of the odd answers that two annotators may have in common for reasons that nobody sees in the votes."""
MOST_ANSWERS = 1000
"""Answers to a question up to which it is looked at: the pairs grow with the square."""


@dataclass(frozen=True, eq=False)
class Copying:
    """Pairs of annotators, and what they have in common; columns of (n_pairs,).

    Attributes
    ----------
    first, second : int32
        `second` is compared with the odd answers of `first`.
    odd : int64
        Odd answers of the first one to questions that the second answered, too: most of the others say otherwise.
    shared : int64
        How many of them the second one gave as well.
    expected : float64
        How many the second one would give by an own judgement.
    later : int64
        How many of the shared ones the second gave after the first; -1 where no times are known.
    p_value : float64
        Of "has an own judgement, but for a share `BY_CHANCE` at most".
    """

    first: Codes
    second: Codes
    odd: Keys
    shared: Keys
    expected: Floats
    later: Keys
    p_value: Floats


def find_copying(answers: Answers, others: Others, weight: Floats, moment: Keys | None = None) -> Copying:
    """Test which annotators share odd answers beyond what the questions and their own errors explain.

    An answer is odd where less than half of the others' weight is behind it, the two annotators left out. The
    second one would give it by an own judgement with the larger of two probabilities: what is to be expected after
    all the others' answers, the first one's among them (a hard question misleads many), and how often the second
    one gives this answer where the others give theirs (a confusion that both have).

    Parameters
    ----------
    weight : (n_annotators,) float64
        As `others` was made with.
    moment : (n_rows,) int64, optional
        When an answer was given, in any unit.

    Returns
    -------
    Copying
        Of every ordered pair with an odd answer.

    References
    ----------
    X. L. Dong, L. Berti-Equille, D. Srivastava, "Integrating conflicting data: the role of source dependence",
    Proceedings of the VLDB Endowment 2 (2009), 550-561. doi:10.14778/1687627.1687690: shared wrong values tell of
    copying, shared right ones do not.
    """
    per_question = np.bincount(answers.question, minlength=answers.n_questions)
    comparable = per_question[answers.question] <= MOST_ANSWERS
    habits = _Habits(answers, others)
    mass = _Mass(answers, weight)
    events = [_Events(np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0), np.zeros(0, bool))]
    position = np.flatnonzero(comparable)
    for rows in pairs_of(answers.question[comparable]):
        first, second = (position[row] for row in rows)
        events.append(_events(answers, others, mass, habits, first, second, moment))
        events.append(_events(answers, others, mass, habits, second, first, moment))
    return _tested(answers, events, timed=moment is not None)


@dataclass(frozen=True, eq=False)
class _Events:
    """Odd answers of somebody to questions that another answered as well."""

    pair: Keys
    same: Flags
    chance: Floats
    later: Flags


class _Mass:
    """Weight behind each answer of each question."""

    def __init__(self, answers: Answers, weight: Floats) -> None:
        self.own = weight[answers.annotator]
        cells, self._at = np.unique(
            answers.question.astype(np.int64) * max(answers.n_answers, 1) + answers.answer, return_inverse=True
        )
        self._of_cell = sums(self._at, self.own, len(cells))
        self._total = sums(answers.question, self.own, answers.n_questions)

    def odd(self, answers: Answers, first: Keys, second: Keys) -> Flags:
        """Whether less than half of the others, without both, stand behind the first one's answer."""
        same = answers.answer[first] == answers.answer[second]
        behind = self._of_cell[self._at[first]] - self.own[first] - np.where(same, self.own[second], 0.0)
        left = self._total[answers.question[first]] - self.own[first] - self.own[second]
        return np.asarray((left > 1e-9) & (2 * behind < left), dtype=np.bool_)  # noqa: PLR2004 - a half


class _Habits:
    """How often an annotator gives an answer where the others favour another one."""

    def __init__(self, answers: Answers, others: Others) -> None:
        self._k = max(answers.n_answers, 1)
        n = len(answers)
        best = np.full(n, -1.0)
        np.maximum.at(best, others.row, others.expected)
        self.favourite = np.full(n, self._k, dtype=np.int64)  # of nobody
        top = others.expected >= best[others.row]
        np.minimum.at(self.favourite, others.row[top], others.answer[top])
        self._rows = answers.annotator.astype(np.int64) * (self._k + 1) + self.favourite
        keys = self._rows * self._k + answers.answer
        self._keys, self._count = np.unique(keys, return_counts=True)
        self._favourites, self._times = np.unique(self._rows, return_counts=True)

    def of(self, rows: Keys, answer: Codes) -> Floats:
        """Share of a wanted answer among the annotator's answers where the others favour what they do here."""
        key = self._rows[rows] * self._k + answer
        at = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        count = np.where(self._keys[at] == key, self._count[at], 0)
        times = self._times[np.searchsorted(self._favourites, self._rows[rows])]
        return np.asarray(count / times, dtype=np.float64)


def _events(
    answers: Answers, others: Others, mass: _Mass, habits: _Habits, first: Keys, second: Keys, moment: Keys | None
) -> _Events:
    odd = mass.odd(answers, first, second)
    first, second = first[odd], second[odd]
    odd_answer = answers.answer[first]
    chance = np.maximum(_expected(answers, others, second, odd_answer), habits.of(second, odd_answer))
    later = moment[second] > moment[first] if moment is not None else np.zeros(len(first), dtype=bool)
    pair = answers.annotator[first].astype(np.int64) * answers.n_annotators + answers.annotator[second]
    return _Events(pair, odd_answer == answers.answer[second], chance, later)


def _expected(answers: Answers, others: Others, rows: Keys, answer: Codes) -> Floats:
    """What is to be expected of a row after the others' answers; somebody gave the wanted one."""
    k = max(answers.n_answers, 1)
    keys = others.row * k + others.answer
    return others.expected[np.searchsorted(keys, rows * k + answer)]


def _tested(answers: Answers, events: list[_Events], *, timed: bool) -> Copying:
    pair = np.concatenate([event.pair for event in events])
    same = np.concatenate([event.same for event in events])
    chance = np.concatenate([event.chance for event in events])
    later = np.concatenate([event.later for event in events])
    keys, group = np.unique(pair, return_inverse=True)
    size, group = len(keys), group.astype(np.int32)
    entries = Entries(np.arange(len(pair)), np.ones(len(pair)), BY_CHANCE + (1 - BY_CHANCE) * chance)
    after = np.bincount(group, later & same, minlength=size).astype(np.int64)
    return Copying(
        first=(keys // max(answers.n_annotators, 1)).astype(np.int32),
        second=(keys % max(answers.n_annotators, 1)).astype(np.int32),
        odd=np.bincount(group, minlength=size).astype(np.int64),
        shared=np.bincount(group, same, minlength=size).astype(np.int64),
        expected=sums(group, chance, size),
        later=after if timed else np.full(size, -1, dtype=np.int64),
        p_value=high_tail(group, same.astype(np.float64), entries, size, answers.together, step=1),
    )

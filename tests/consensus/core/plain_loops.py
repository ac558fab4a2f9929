"""The model once more, vote by vote and class by class as docs/method.md writes it: slow, and on its own.

Only the population's moments and the search for a prior's strength are taken from the engine; both have tests of
their own against closed forms and scipy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from consensus.core.model.confusion_matrices import loosened, strength_of
from consensus.core.model.empirical_bayes import population_of

Table = list[list[list[float]]]
Said = Sequence[Mapping[int, int]]


@dataclass
class Known:
    """Rates by annotator, and what the items are."""

    table: Table
    prevalence: list[float]
    accuracy: list[float]
    evidence: list[list[float]]
    own_strength: float
    strength: float


def normal(mass: Sequence[float]) -> list[float]:
    """Scale to a sum of 1."""
    return [one / sum(mass) for one in mass]


def independent(one: Mapping[int, int], known: Known, share: float = 1.0, correlation: float = 0.0) -> list[float]:
    """Posterior of an item, its votes multiplied up to a correlation and the prevalence to a power."""
    discount = 1 / (1 + max(len(one) - 1, 0) * correlation)
    scores = []
    for true, often in enumerate(known.prevalence):
        votes = sum(math.log(known.table[by][true][what]) for by, what in one.items())
        scores.append(discount * votes + share * math.log(often))
    return normal([math.exp(score - max(scores)) for score in scores])


def with_gold(belief: list[float], possible: Sequence[int] | None) -> list[float]:
    """Take from a belief what gold rules out; where nothing is left all that is possible is as likely."""
    if possible is None:
        return belief
    left = [share if what in possible else 0.0 for what, share in enumerate(belief)]
    return normal(left if sum(left) > 0 else [float(what in possible) for what in range(len(belief))])


def counted(
    said: Said,
    beliefs: Sequence[list[float]],
    gold: Mapping[int, Sequence[int]],
    n_annotators: int,
    least: int = 2,
) -> tuple[Table, list[float]]:
    """Expected votes [annotator][true][said] on items that others or gold can judge, and items of each class."""
    n_classes = len(beliefs[0])
    votes = [[[0.0] * n_classes for _ in range(n_classes)] for _ in range(n_annotators)]
    items = [0.0] * n_classes
    for at, one in enumerate(said):
        truth = with_gold(beliefs[at], gold[at]) if at in gold else voiced(one, beliefs[at])
        for true in range(n_classes):
            items[true] += truth[true] if one else 0.0
            if len(one) >= least or len(gold.get(at, ())) == 1:
                for by, what in one.items():
                    votes[by][true][what] += truth[true]
    return votes, items


def logit(share: float) -> float:
    """Log-odds, with 0.001 as the smallest share."""
    share = min(max(share, 1e-3), 1 - 1e-3)
    return math.log(share / (1 - share))


def expected(votes: Table) -> tuple[Table, list[float], float]:
    """m_a(c | j), p_a and s of docs/method.md."""
    n_classes = len(votes[0]) if votes else 0
    others = max(n_classes - 1, 1)
    hits = [sum(matrix[true][true] for true in range(n_classes)) for matrix in votes]
    total = [sum(map(sum, matrix)) for matrix in votes]
    population = population_of(np.array(hits), np.array(total), expected=0.75)
    mean, weight = population.mean, population.strength
    own = [(hit + weight * mean) / (all_votes + weight) for hit, all_votes in zip(hits, total, strict=True)]
    rows: Table = [[[0.0] * n_classes for _ in range(n_classes)] for _ in votes]
    for true in range(n_classes):
        of_class = [sum(matrix[true][what] for matrix in votes) for what in range(n_classes)]
        easy = (of_class[true] + 10 * mean) / (sum(of_class) + 10)
        wrong = [0.0 if what == true else of_class[what] + 5 / others for what in range(n_classes)]
        for by in range(len(votes)):
            right = 1 / (1 + math.exp(-(logit(own[by]) + (logit(easy) - logit(mean)) / others)))
            for what in range(n_classes):
                rows[by][true][what] = right if what == true else (1 - right) * wrong[what] / sum(wrong)
    return rows, own, weight


def rates(votes: Table, items: list[float], strength: float, trust: Sequence[float | None]) -> Known:
    """Theta of docs/method.md, with at least 0.001 / (k - 1), scaled to rows of 1; trust by hand in its place."""
    rows, own, own_strength = expected(votes)
    n_classes = len(items)
    others = max(n_classes - 1, 1)
    table: Table = []
    for by, matrix in enumerate(votes):
        table.append([])
        by_hand = trust[by]
        if by_hand is not None:
            own[by] = min(1 / n_classes + by_hand * (1 - 1 / n_classes), 1 - 1e-3)
        for true in range(n_classes):
            row = [
                (matrix[true][what] + strength * rows[by][true][what]) / (sum(matrix[true]) + strength)
                if by_hand is None
                else (own[by] if what == true else (1 - own[by]) / others)
                for what in range(n_classes)
            ]
            table[by].append(normal([max(one, 1e-3 / others) for one in row]))
    prevalence = normal([one + 1 for one in items])
    evidence = [[sum(row) for row in matrix] for matrix in votes]
    return Known(table, prevalence, own, evidence, own_strength, strength)


def voiced(one: Mapping[int, int], belief: Sequence[float]) -> list[float]:
    """Belief in the classes that somebody said, and in all where nobody said anything."""
    return normal([chance if what in one.values() or not one else 0.0 for what, chance in enumerate(belief)])


def shares(one: Mapping[int, int], n_classes: int) -> list[float]:
    """Share of an item's votes of each class."""
    counts = [float(sum(what == this for this in one.values())) for what in range(n_classes)]
    return normal(counts) if one else [1 / n_classes] * n_classes


def learned(
    said: Said,
    gold: Mapping[int, Sequence[int]],
    trust: Sequence[float | None],
    n_classes: int,
) -> Known:
    """Rounds from the votes' shares: rough ones, the strength, and fine ones."""

    def refined(beliefs: Sequence[list[float]], strength: float) -> tuple[Known, Table, list[float]]:
        votes, items = counted(said, beliefs, gold, len(trust))
        return rates(votes, items, strength, trust), votes, items

    def settled(known: Known, tolerance: float, moved: float = 0.0) -> tuple[Known, Table, list[float]]:
        last = None
        for _ in range(200):
            before = np.array(known.table)
            known, votes, items = refined([independent(one, known) for one in said], known.strength)
            if np.abs(np.array(known.table) - before).max() <= tolerance:
                break
            if last is not None and np.abs(np.array(votes) - last).sum() / 2 < moved * max(np.sum(votes), 1):
                break
            last = np.array(votes)
        return known, votes, items

    first, _, _ = refined([shares(one, n_classes) for one in said], 2.0)
    _, votes, items = settled(first, 3e-3, 5e-5)
    strength = loosened(strength_of(np.array(votes), np.array(expected(votes)[0])))
    return settled(rates(votes, items, strength, trust), 1e-4)[0]


def predicted(said: Said, known: Known, correlation: float) -> float:
    """Sum of the log-probabilities of all votes, each from the item as it is without that vote."""
    total = 0.0
    for one in said:
        for by, what in one.items():
            others = {other: its for other, its in one.items() if other != by}
            if others:
                belief = independent(others, known, share=0.5, correlation=correlation)
                total += math.log(
                    sum(chance * row[what] for chance, row in zip(belief, known.table[by], strict=True))
                )
    return total


def perceived(
    one: Mapping[int, int], weight: Sequence[float], n_classes: int, even_votes: float = 1.0
) -> list[float]:
    """B of docs/method.md: the votes' weights and the even votes, over their sum."""
    shown = [even_votes / n_classes] * n_classes
    for by, what in one.items():
        shown[what] += weight[by]
    return normal(shown)

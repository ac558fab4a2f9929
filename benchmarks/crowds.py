"""Accuracy of policy `default` on simulated crowds of several kinds, beside its usual model alone and three peers.

    python benchmarks/crowds.py [--crowds N] [--first SEED]

No model is right for all crowds. So crowds are made for which different models are right: links that mislead some
annotators, rare classes, ratings, spammers, items of different difficulty, and independent annotators with a
confusion matrix each. Their sizes and rates are drawn at random. Prints the mean accuracy by kind of crowd and, as
its last line, one JSON object. The exit status is 1 where `default` is on the mean of a kind worse than its usual
model by more than half a point, or not better on links by two points.
"""

import argparse
import json
import sys
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
from bcc import fit_ebcc, fit_ibcc
from data_sets import NO_YES, CrowdSet
from metrics import accuracy
from side_by_side import belief_of, score_set, table

from consensus.core.arrays import Codes, Floats
from consensus.core.model import fit as fitting

WORSE, BETTER = 0.005, 0.02
METHODS = ("MV", "IBCC", "EBCC", "usual", "default")


def who_votes(
    generator: np.random.Generator, n_items: int, n_annotators: int, per_item: int
) -> tuple[Codes, Codes]:
    """Draw who votes on which item; a few annotators do much of the work."""
    busy = np.log(generator.pareto(1.2, n_annotators) + 0.3)
    keys = busy + generator.gumbel(size=(n_items, n_annotators))
    annotator = np.argsort(-keys, axis=1)[:, : min(per_item, n_annotators)]
    item = np.repeat(np.arange(n_items), annotator.shape[1])
    return item.astype(np.int32), annotator.ravel().astype(np.int32)


def sizes(generator: np.random.Generator) -> tuple[int, int, int]:
    """Draw how many items, annotators and votes an item there are."""
    n_items = int(np.exp(generator.uniform(np.log(300), np.log(2500))))
    return n_items, int(generator.integers(15, 61)), int(generator.integers(5, 11))


def crowd(generator: np.random.Generator, name: str, truth: Codes, kind: Codes, rates: Floats) -> CrowdSet:
    """Draw answers from rates, (n_annotators, n_kinds, n_classes), given the kind of each item."""
    n_items, n_annotators, per_item = len(truth), len(rates), int(generator.integers(5, 11))
    item, annotator = who_votes(generator, n_items, n_annotators, per_item)
    bounds = np.cumsum(rates[annotator, kind[item]], axis=1)[:, :-1]
    answer = (generator.random((len(item), 1)) > bounds).sum(axis=1)
    return crowd_set(name, item, annotator, answer.astype(np.int32), truth, rates.shape[2])


def crowd_set(name: str, item: Codes, annotator: Codes, answer: Codes, truth: Codes, n_classes: int) -> CrowdSet:
    """Name the items, annotators and classes."""
    items = np.array([[f"i{number}"] for number in range(len(truth))], dtype=object)
    annotators = np.array([f"a{number}" for number in range(annotator.max() + 1)], dtype=object)
    classes = NO_YES if n_classes == len(NO_YES) else np.array([f"c{at}" for at in range(n_classes)], dtype=object)
    return CrowdSet(name, item, annotator, answer, truth.astype(np.int32), items, annotators, classes)


def beta(generator: np.random.Generator, mean: float, votes: float, size: int) -> Floats:
    """Draw rates around a mean, the closer the more votes."""
    return generator.beta(mean * votes, (1 - mean) * votes, size)


def yes_no(generator: np.random.Generator, name: str, of_kind: list[Floats], shares: list[float]) -> CrowdSet:
    """Make items of which the last kind alone is right; of each kind annotators say yes with their rate."""
    kind = generator.choice(len(shares), sizes(generator)[0], p=shares).astype(np.int32)
    yes = np.clip(np.column_stack(of_kind), 0.02, 0.98)
    return crowd(
        generator, name, (kind == len(shares) - 1).astype(np.int32), kind, np.stack([1 - yes, yes], axis=2)
    )


def links(generator: np.random.Generator) -> CrowdSet:
    """A fifth are right; of the others some take in some of the annotators."""
    size = sizes(generator)[1]
    right, misleading = generator.uniform(0.15, 0.25), generator.uniform(0.25, 0.4)
    rates = [
        beta(generator, generator.uniform(0.05, 0.15), generator.uniform(8, 20), size),
        beta(generator, generator.uniform(0.3, 0.5), generator.uniform(0.6, 2), size),
        beta(generator, generator.uniform(0.7, 0.85), generator.uniform(4, 15), size),
    ]
    return yes_no(generator, "links", rates, [(1 - right) * (1 - misleading), (1 - right) * misleading, right])


def rare(generator: np.random.Generator) -> CrowdSet:
    """2 to 10 in 100 items are right."""
    size, right = sizes(generator)[1], generator.uniform(0.02, 0.1)
    rates = [
        beta(generator, generator.uniform(0.07, 0.2), generator.uniform(8, 30), size),
        beta(generator, generator.uniform(0.65, 0.9), 8, size),
    ]
    return yes_no(generator, "rare", rates, [1 - right, right])


def independent(generator: np.random.Generator) -> CrowdSet:
    """Two to eight classes, a confusion matrix for each annotator."""
    n_items, size, _ = sizes(generator)
    n_classes = int(generator.choice([2, 3, 4, 6, 8]))
    rates = generator.dirichlet(np.ones(n_classes), (size, n_classes))
    right = beta(generator, generator.uniform(0.5, 0.8), 10, size)[:, None, None]
    rates = (1 - right) * rates + right * np.eye(n_classes)
    prevalence = generator.dirichlet(np.full(n_classes, 5.0))
    truth = generator.choice(n_classes, n_items, p=prevalence).astype(np.int32)
    return crowd(generator, "independent", truth, truth, rates)


def spammers(generator: np.random.Generator) -> CrowdSet:
    """20 to 50 in 100 annotators answer without looking."""
    made = independent(generator)
    spam = np.flatnonzero(generator.random(made.n_annotators) < generator.uniform(0.2, 0.5))
    of_spam = np.isin(made.annotator, spam)
    habit = generator.dirichlet(np.full(made.n_classes, 0.5), made.n_annotators).cumsum(axis=1)[:, :-1]
    blind = (generator.random((len(made.item), 1)) > habit[made.annotator]).sum(axis=1)
    answer = np.where(of_spam, blind, made.answer).astype(np.int32)
    return crowd_set("spammers", made.item, made.annotator, answer, made.truth, made.n_classes)


def ratings(generator: np.random.Generator) -> CrowdSet:
    """Four to six ordered classes; annotators are too high, too low, too extreme, and vary."""
    _, size, per_item = sizes(generator)
    n_items, n_classes = int(generator.integers(100, 1000)), int(generator.integers(4, 7))
    prevalence = generator.dirichlet(np.full(n_classes, 6.0))
    truth = generator.choice(n_classes, n_items, p=prevalence).astype(np.int32)
    item, annotator = who_votes(generator, n_items, size, per_item)
    middle, looks = (n_classes - 1) / 2, truth + generator.normal(0, generator.uniform(0.2, 0.6), n_items)
    shift, stretch = generator.normal(0, 0.6, size), np.exp(generator.normal(0, 0.25, size))
    noise = generator.normal(0, 0.7, len(item))
    rated = np.rint(middle + stretch[annotator] * (looks[item] - middle) + shift[annotator] + noise)
    answer = np.clip(rated, 0, n_classes - 1).astype(np.int32)
    return crowd_set("ratings", item, annotator, answer, truth, n_classes)


def difficult(generator: np.random.Generator) -> CrowdSet:
    """Two to four classes; how often anybody is right depends on the item, too (GLAD's own model)."""
    n_items, size, per_item = sizes(generator)
    n_classes = int(generator.integers(2, 5))
    truth = generator.integers(n_classes, size=n_items, dtype=np.int32)
    item, annotator = who_votes(generator, n_items, size, per_item)
    clear = generator.normal(1.3, 0.7, size)[annotator] * np.exp(generator.normal(0, 0.7, n_items))[item]
    right = generator.random(len(item)) < np.exp(clear) / (np.exp(clear) + n_classes - 1)
    wrong = (truth[item] + generator.integers(1, n_classes, len(item))) % n_classes
    return crowd_set(
        "difficult", item, annotator, np.where(right, truth[item], wrong).astype(np.int32), truth, n_classes
    )


KINDS: dict[str, Callable[[np.random.Generator], CrowdSet]] = {
    "links": links,
    "rare": rare,
    "ratings": ratings,
    "spammers": spammers,
    "difficult": difficult,
    "independent": independent,
}


def accuracies(votes: CrowdSet) -> list[float]:
    """Return how often each method is right."""
    with patch.object(fitting, "other_models", lambda *_: ()):
        usual = belief_of(votes, score_set(votes))
    beliefs = [
        votes.tallies,
        fit_ibcc(votes.one_hot, votes.tallies).posterior,
        fit_ebcc(votes.one_hot, votes.tallies, seeds=2).posterior,
        usual,
        belief_of(votes, score_set(votes)),
    ]
    return [accuracy(belief, votes.truth) for belief in beliefs]


def main() -> int:
    """Run, print, and return the exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--crowds", type=int, default=12, metavar="N", help="crowds of each kind (12)")
    options.add_argument("--first", type=int, default=0, metavar="SEED", help="seed of the first one (0)")
    chosen = options.parse_args()
    means = {}
    for name, make in KINDS.items():
        seeds = range(chosen.first, chosen.first + chosen.crowds)
        each = [accuracies(make(np.random.default_rng(seed))) for seed in seeds]
        means[name] = dict(zip(METHODS, np.mean(each, axis=0).round(6).tolist(), strict=True))
    print(
        table("accuracy", METHODS, [(name, [f"{row[at]:.3f}" for at in METHODS]) for name, row in means.items()])
    )
    gains = {name: row["default"] - row["usual"] for name, row in means.items()}
    reached = min(gains.values()) >= -WORSE and gains["links"] >= BETTER
    print(json.dumps({"benchmark": "crowds", "reached": reached, "crowds": chosen.crowds, "accuracy": means}))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())

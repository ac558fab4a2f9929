"""How often honest annotators are suspected, and how many votes it takes to find the others: simulated crowds.

    python benchmarks/people.py [--crowds 1000] [--repeats 12] [--seed 1]

Honest crowds have 5 to 29 annotators with 3 to 120 votes each, 2 to 8 labels of uneven prevalence, accuracies from
0.3 of the way between guessing and always right upwards, in half of them hard tasks, in half of them tasks that
lure into one wrong label, and lead times of different speeds. The others have 20 annotators (10 for copying) of
accuracy 0.6 to 0.95, of whom two guess, always choose the first label, or are one copying from the other.
Prints tables and, as its last line, one JSON object.
"""

import argparse
import json
from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Floats
from consensus.core.decide.scoring import score
from consensus.core.people.answers import answers_of
from consensus.core.people.suspicion import KINDS, assess
from consensus.core.votes.classifications import Gold, Listed
from consensus.core.votes.votes import Votes

VOTES_EACH = (10, 25, 50, 100, 200, 400)
NO_CODES = np.zeros(0, dtype=np.int32)


def named(prefix: str, size: int) -> NDArray[np.object_]:
    """Names such as a0, a1."""
    return np.array([f"{prefix}{number}" for number in range(size)], dtype=object)


def crowd(
    draw: np.random.Generator, accuracy: Floats, n_tasks: int, k: int, per_task: int, *, hard: float, lure: float
) -> Votes:
    """A single choice: right by accuracy (less on hard tasks), wrong evenly or by the task's own lure."""
    who = np.concatenate([draw.permutation(len(accuracy))[:per_task] for _ in range(n_tasks)]).astype(np.int32)
    task = np.repeat(np.arange(n_tasks, dtype=np.int32), per_task)
    truth = draw.choice(k, n_tasks, p=draw.dirichlet(np.full(k, 2.0)))
    lured = (truth + draw.integers(1, k, n_tasks)) % k
    right = accuracy[who]
    right = np.where((draw.random(n_tasks) < hard)[task], 1 / k + 0.3 * (right - 1 / k), right)
    wrong = np.where(draw.random(len(who)) < lure, lured[task], (truth[task] + draw.integers(1, k, len(who))) % k)
    label = np.where(draw.random(len(who)) < right, truth[task], wrong).astype(np.int32)
    yes = np.ones(len(who), dtype=np.int8)
    return Votes("single", task, who, label, yes, named("t", n_tasks), named("a", len(accuracy)), named("l", k))


def kinds(votes: Votes, annotator: NDArray[np.int32] = NO_CODES, seconds: Floats | None = None) -> list[set[str]]:
    """What each annotator is suspected of, with the trust that policy `default` learns."""
    nothing = np.zeros(0, dtype=bool)
    listed, gold = Listed(NO_CODES, NO_CODES, nothing), Gold(NO_CODES, NO_CODES, nothing)
    trust = score(votes, listed, gold, np.full(votes.n_annotators, np.nan)).trust
    assessment = assess(votes, answers_of(votes), trust, annotator, np.zeros(0) if seconds is None else seconds)
    return [{suspicion.kind for suspicion in suspicions} for suspicions in assessment.suspicions]


def honest(draw: np.random.Generator, crowds: int) -> tuple[int, Counter[str]]:
    """Number of annotators in honest crowds, and in how many of these crowds somebody is suspected, by kind."""
    suspected, n_annotators = Counter[str](), 0
    for _ in range(crowds):
        k, m = int(draw.choice([2, 3, 4, 8])), int(draw.integers(5, 30))
        per_task = int(min(m, draw.integers(3, 9)))
        n_tasks = max(m * int(draw.choice([3, 10, 40, 120])) // per_task, 2)
        accuracy = draw.uniform(1 / k + 0.3 * (1 - 1 / k), 0.97, m)
        hard, lure = float(draw.choice([0, 0.3])), float(draw.choice([0, 0.7]))
        votes = crowd(draw, accuracy, n_tasks, k, per_task, hard=hard, lure=lure)
        seconds = np.exp(draw.normal(draw.normal(2.5, 0.35, m)[votes.annotator], 0.6))
        suspected.update(set().union(*kinds(votes, votes.annotator, seconds)))
        n_annotators += m
    return n_annotators, suspected


def power(draw: np.random.Generator, how: str, k: int, each: int, repeats: int) -> float:
    """Share of those who are not honest that are found."""
    m, per_task = (10, 10) if how.startswith("copy") else (20, 5)
    hits = 0
    for _ in range(repeats):
        votes = crowd(draw, draw.uniform(0.6, 0.95, m), each * m // per_task, k, per_task, hard=0, lure=0)
        label, bad = votes.label.copy(), votes.annotator < 2  # noqa: PLR2004 - the first two
        if how == "guess":
            label[bad] = draw.integers(k, size=int(bad.sum()))
        elif how == "always the first":
            label[bad] = 0
        else:
            source, rows = label[votes.annotator == 0], votes.annotator == 1  # both in the order of tasks
            copied = draw.random(int(rows.sum())) < (0.5 if "half" in how else 1)
            label[rows] = np.where(copied, source, label[rows])
        suspicions = kinds(replace(votes, label=label))
        hits += sum(bool(suspicions[who]) for who in (0, 1))
    return hits / (2 * repeats)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crowds", type=int, default=1000, help="how many honest crowds")
    parser.add_argument("--repeats", type=int, default=12, help="how many crowds of each other sort")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draw = np.random.default_rng(options.seed)
    n_annotators, suspected = honest(draw, options.crowds)
    print(f"| {options.crowds} honest crowds, {n_annotators} annotators | crowds in which somebody is suspected |")
    print("|---|---|")
    for kind in KINDS:
        print(f"| {kind} | {suspected[kind]} |")
    print(f"\n| share found | k | {' | '.join(f'{each} votes' for each in VOTES_EACH)} |")
    print(f"|---|---|{'---|' * len(VOTES_EACH)}")
    shares = {}
    for how in ("guess", "always the first", "copy all", "copy half"):
        for k in (2, 4, 8):
            row = [power(draw, how, k, each, options.repeats) for each in VOTES_EACH]
            shares[f"{how}, {k}"] = dict(zip(map(str, VOTES_EACH), row, strict=True))
            print(f"| {how} | {k} | {' | '.join(f'{share:.2f}' for share in row)} |", flush=True)
    print(
        json.dumps({"crowds": options.crowds, "annotators": n_annotators, "suspected": suspected, "found": shares})
    )


if __name__ == "__main__":
    main()

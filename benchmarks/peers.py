"""The eight published methods that the engine is compared with, each a function of a set of votes.

Majority vote, Dawid-Skene, GLAD and MACE are crowd-kit's, with its defaults, except that MACE starts once: all of
its restarts begin with the same numbers. Its Wawa fails under scikit-learn 1.9, so that Wawa is computed from its
definition. IBCC, EBCC and PTBCC are in `bcc`.
"""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from bcc import fit_ebcc, fit_ibcc, fit_ptbcc
from data_sets import CrowdSet

from consensus.core.arrays import Floats

try:
    from crowdkit.aggregation import GLAD, MACE, DawidSkene, MajorityVote
    from crowdkit.aggregation.base import BaseClassificationAggregator
except ModuleNotFoundError as missing:
    sys.exit(f"{missing.name} is not installed: pip install -c constraints.txt '.[benchmarks]'")

MANY_VOTES = 200_000
"""GLAD and EBCC take minutes on more."""


@dataclass(frozen=True)
class Peer:
    """A published method.

    Attributes
    ----------
    run : callable
        Takes a set; returns (n_items, n_classes) float64: beliefs, or weights of the votes for each answer.
    shares : bool
        Whether it returns weights of votes, which are no probabilities before they are smoothed.
    slow : bool
        Whether it takes many seconds on a small set.
    most_votes : int
        It is not run on larger sets, unless the person who runs it is patient.
    """

    run: Callable[[CrowdSet], Floats]
    shares: bool = False
    slow: bool = False
    most_votes: int = sys.maxsize


def majority(votes: CrowdSet) -> Floats:
    """Count the votes: crowd-kit's shares times the votes on the item."""
    return _crowd_kit(votes, MajorityVote()) * votes.tallies.sum(axis=1, keepdims=True)


def wawa(votes: CrowdSet) -> Floats:
    """Count the votes, each weighing its annotator's agreement with the majority (of a tie the first class)."""
    agreement = votes.answer == votes.tallies.argmax(axis=1)[votes.item]
    of_annotator = np.bincount(votes.annotator, agreement) / np.bincount(votes.annotator)
    return votes.one_hot @ np.kron(of_annotator[:, None], np.eye(votes.n_classes))


PEERS: dict[str, Peer] = {
    "MV": Peer(majority, shares=True),
    "Wawa": Peer(wawa, shares=True),
    "DS": Peer(lambda votes: _crowd_kit(votes, DawidSkene())),
    "GLAD": Peer(lambda votes: _crowd_kit(votes, GLAD()), slow=True, most_votes=MANY_VOTES),
    "MACE": Peer(lambda votes: _crowd_kit(votes, MACE(n_restarts=1))),
    "IBCC": Peer(lambda votes: fit_ibcc(votes.one_hot, votes.tallies).posterior),
    "EBCC": Peer(lambda votes: fit_ebcc(votes.one_hot, votes.tallies).posterior, most_votes=MANY_VOTES),
    "PTBCC": Peer(lambda votes: fit_ptbcc(votes.one_hot, votes.tallies).posterior),
}


def _crowd_kit(votes: CrowdSet, method: BaseClassificationAggregator) -> Floats:
    """Run a method of crowd-kit.

    Its MACE keeps some columns in order of appearance and others in ascending order. Codes in order of appearance
    make the two the same, so that no annotator is taken for another.
    """
    (task, tasks), (annotator, _), (answer, answers) = map(
        pd.factorize, (votes.item, votes.annotator, votes.answer)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        beliefs = method.fit_predict_proba(pd.DataFrame({"task": task, "worker": annotator, "label": answer}))
    belief = np.zeros((votes.n_items, votes.n_classes))
    belief[np.ix_(tasks[beliefs.index], answers[beliefs.columns])] = beliefs
    return belief

"""The five reports: which of them a classification belongs to, if any."""

from collections.abc import Callable

import numpy as np

from consensus.core.arrays import Flags, Names
from consensus.core.decide.policies import Decision
from consensus.core.votes.classifications import Classifications

Rule = Callable[[Decision, Classifications], Flags]

REPORTS: dict[str, Rule] = {
    "NoVotes": lambda decision, rows: rows.listed & ~decision.voted,
    "AllConfirmed": lambda decision, rows: decision.confirmed & rows.given,
    "Discovered": lambda decision, rows: decision.confirmed & ~rows.given,
    "MisClassified": lambda decision, rows: decision.rejected & rows.given,
    "Controversial": lambda decision, _: decision.controversial,
}
"""Report to rule of (decision, classifications). The first rule that holds wins, so the order is a policy: without
a vote nothing is decided, and what is decided is not controversial."""


def report_of(decision: Decision, classifications: Classifications) -> Names:
    """Name the report of each classification.

    Parameters
    ----------
    decision : Decision
        Of n classifications.
    classifications : Classifications
        The same n.

    Returns
    -------
    (n,) object
        A key of `REPORTS`, or "" where no report wants the classification.
    """
    position = np.full(len(classifications), len(REPORTS), dtype=np.int8)
    for at, rule in reversed(list(enumerate(REPORTS.values()))):
        position[rule(decision, classifications)] = at
    names: Names = np.array([*REPORTS, ""], dtype=object)
    return np.asarray(names[position])

"""The five reports: which of them a classification belongs to, if any."""

from collections.abc import Callable

import numpy as np

from consensus.core.arrays import Flags, Names
from consensus.core.policies import Decision

Rule = Callable[[Decision, Flags], Flags]

REPORTS: dict[str, Rule] = {
    "NoVotes": lambda decision, _: ~decision.voted,
    "AllConfirmed": lambda decision, given: decision.confirmed & given,
    "Discovered": lambda decision, given: decision.confirmed & ~given,
    "MisClassified": lambda decision, given: decision.rejected & given,
    "Controversial": lambda decision, _: decision.controversial,
}
"""Report to rule of (decision, given). The first rule that holds wins, so the order is a policy: without a vote
nothing is decided, and what is decided is not controversial."""


def report_of(decision: Decision, given: Flags) -> Names:
    """Name the report of each classification.

    Parameters
    ----------
    decision : Decision
        Of n classifications.
    given : (n,) bool

    Returns
    -------
    (n,) object
        A key of `REPORTS`, or "" where no report wants the classification.
    """
    masks = [rule(decision, given) for rule in REPORTS.values()]
    position = np.select(masks, range(len(masks)), default=len(masks))
    names: Names = np.array([*REPORTS, ""], dtype=object)
    return np.asarray(names[position])

"""What somebody has decided takes the place of what the votes say."""

from dataclasses import replace

import numpy as np

from consensus.core.decide.scoring import Scored
from consensus.core.votes.classifications import Gold, truth_of
from consensus.core.votes.votes import Choice


def settle(scored: Scored, settled: Gold, choice: Choice) -> Scored:
    """Report settled classifications as they were decided: AllConfirmed, Discovered, MisClassified, or nowhere.

    Posterior and both bounds are 1 where it is right, and 0 where it is wrong. Trust, counts and all other
    classifications stay.

    Parameters
    ----------
    settled : Gold
        For a single choice the right labels suffice.
    choice : {"single", "multiple", "each"}
        Of the votes.
    """
    rows = scored.classifications
    right, wrong = truth_of(rows, settled, choice)
    decided = right | wrong
    if not decided.any():
        return scored
    report = scored.report.copy()
    report[decided] = ""
    report[right & rows.given] = "AllConfirmed"
    report[right & ~rows.given] = "Discovered"
    report[wrong & rows.given] = "MisClassified"
    truth = right.astype(np.float64)
    confidence, upper, posterior = (
        np.where(decided, truth, column) for column in (scored.confidence, scored.upper, scored.posterior)
    )
    return replace(scored, report=report, confidence=confidence, upper=upper, posterior=posterior)

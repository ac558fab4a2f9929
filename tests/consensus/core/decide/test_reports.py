import itertools

import numpy as np
import pytest

from consensus.core.decide.policies import Decision
from consensus.core.decide.reports import REPORTS, report_of
from consensus.core.votes.classifications import Classifications


def reported(
    *, voted: bool, confirmed: bool, rejected: bool, controversial: bool, given: bool, listed: bool
) -> str:
    """The report of one classification."""
    flags = [np.array([flag]) for flag in (voted, confirmed, rejected, controversial)]
    code = np.zeros(1, dtype=np.int32)
    those = Classifications(code, code, given=np.array([given]), listed=np.array([listed]), n_labels=1)
    return str(report_of(Decision(np.zeros(1), np.ones(1), np.zeros(1), *flags), those)[0])


def test_every_combination_has_the_report_of_its_first_rule() -> None:
    """No vote comes first, then confirmed, then rejected and given, then controversial, else no report."""
    for voted, confirmed, rejected, controversial, given in itertools.product([False, True], repeat=5):
        if not voted:
            expected = "NoVotes"
        elif confirmed:
            expected = "AllConfirmed" if given else "Discovered"
        elif rejected and given:
            expected = "MisClassified"
        else:
            expected = "Controversial" if controversial else ""
        flags = {"voted": voted, "confirmed": confirmed, "rejected": rejected, "controversial": controversial}
        assert reported(**flags, given=given, listed=True) == expected


@pytest.mark.parametrize(
    ("given", "listed", "expected"), [(True, True, "NoVotes"), (False, True, "NoVotes"), (False, False, "")]
)
def test_only_what_is_listed_can_lack_votes(given: bool, listed: bool, expected: str) -> None:  # noqa: FBT001
    """A given label and a candidate lack votes; a label that a skip alone brought in does not."""
    flags = {"voted": False, "confirmed": False, "rejected": False, "controversial": False}
    assert reported(**flags, given=given, listed=listed) == expected


def test_there_are_five_reports() -> None:
    """The reports are the five that the glossary names."""
    assert set(REPORTS) == {"AllConfirmed", "MisClassified", "Discovered", "Controversial", "NoVotes"}


def test_no_rows_have_no_reports() -> None:
    """No classifications have no reports, and no fault."""
    none, code = np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int32)
    assert (
        len(report_of(Decision(*[np.zeros(0)] * 3, *[none] * 4), Classifications(code, code, none, none, 0))) == 0
    )

"""What has votes and is in no report is called undecided where it is a question."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from consensus.core.routing.open_classifications import StoredClassifications, open_rows
from consensus.core.routing.undecided import with_undecided

CAT, DOG, OWL = range(3)
Row = tuple[int, int, bool, int, int, float, str]
"""Task, label, given, yes, no, upper bound, report."""


def named(*rows: Row, one_of_many: bool = True, settled: tuple[int, ...] = ()) -> list[str]:
    """The report of each row."""
    columns: Any = [np.array(column) for column in zip(*rows, strict=True)]
    task, label, given, yes, no, upper, report = columns
    posterior = upper / 2
    stored = StoredClassifications(
        task, label, given, yes.astype(float), no.astype(float), posterior / 2, upper, posterior,
        report.astype(object), 3, one_of_many=one_of_many,
    )  # fmt: skip
    for row in settled:
        bound = np.where(np.arange(len(stored)) == row, 0.0, stored.upper)
        stored = replace(stored, confidence=np.minimum(stored.confidence, bound), upper=bound)
    return [str(name) for name in with_undecided(stored, open_rows(stored, 0.2, fewest_votes=2))]


def test_a_given_label_stands_for_its_task() -> None:
    """Also where another label of the task is confirmed; a label without a vote waits in NoVotes."""
    assert named((7, CAT, True, 1, 2, 0.7, ""), (7, DOG, False, 2, 1, 0.9, "")) == ["Undecided", ""]
    assert named((7, CAT, True, 0, 4, 0.3, ""), (7, DOG, False, 4, 0, 0.9, "Discovered")) == [
        "Undecided", "Discovered",
    ]  # fmt: skip
    assert named((7, CAT, True, 0, 0, 1.0, "NoVotes"), (7, DOG, False, 0, 0, 1.0, "")) == ["NoVotes", ""]


def test_a_task_that_is_in_a_report_is_not_undecided_as_well() -> None:
    """Its given label is wrong, and which one is right is open: that is what MisClassified proposes."""
    assert named((7, CAT, True, 1, 3, 0.2, "MisClassified"), (7, DOG, False, 3, 1, 0.9, "")) == [
        "MisClassified",
        "",
    ]
    several = named((7, CAT, True, 1, 3, 0.2, "MisClassified"), (7, DOG, False, 2, 2, 0.9, ""), one_of_many=False)
    assert several == ["MisClassified", "Undecided"]


def test_without_a_given_label_what_somebody_chose_is_undecided() -> None:
    """Not what nobody chose, what the votes have turned down, or what another, confirmed label decides."""
    rows: list[Row] = [
        (7, CAT, False, 2, 3, 0.7, ""),
        (7, DOG, False, 1, 4, 0.1, ""),
        (7, OWL, False, 0, 5, 0.3, ""),
    ]
    assert named(*rows) == ["Undecided", "", ""]
    assert named(*rows, (7, 3, False, 5, 0, 0.9, "Discovered")) == ["", "", "", "Discovered"]
    assert named((7, CAT, False, 1, 0, 0.9, "")) == ["Undecided"]


def test_labels_of_a_multiple_choice_are_questions_of_their_own() -> None:
    """A given one stands for no other."""
    rows: list[Row] = [
        (7, CAT, True, 1, 1, 0.7, ""),
        (7, DOG, False, 1, 1, 0.7, ""),
        (7, OWL, False, 0, 2, 0.3, ""),
    ]
    assert named(*rows, one_of_many=False) == ["Undecided", "Undecided", ""]


@pytest.mark.parametrize("report", ["AllConfirmed", "MisClassified", "Discovered", "Controversial", "NoVotes"])
def test_what_is_in_a_report_stays_there(report: str) -> None:
    """The five reports are as they were."""
    assert named((7, CAT, report != "Discovered", 3, 3, 0.7, report)) == [report]


def test_what_somebody_settled_is_not_undecided() -> None:
    """One vote does not decide; a decision does, also against a label that was not given."""
    row: Row = (7, CAT, False, 1, 0, 0.7, "")
    assert named(row, one_of_many=False) == ["Undecided"]
    assert named(row, one_of_many=False, settled=(0,)) == [""]

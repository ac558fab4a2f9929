"""What of a control is still open after a run."""

import numpy as np
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from consensus.core.routing.open_classifications import StoredClassifications, open_rows

Row = tuple[int, int, bool, float, float, float, str]


def stored(*rows: Row, n_labels: int = 3, one_of_many: bool = True) -> StoredClassifications:
    """Rows of (task, label, given, yes, no, posterior, report); the bounds are those of 60 effective votes."""
    task, label, given, yes, no, posterior, report = map(np.array, zip(*rows, strict=True))
    lower, upper = proportion_confint(posterior * 60, 60, 2 * norm.sf(1.96), "wilson")
    return StoredClassifications(
        task.astype(np.int32),
        label.astype(np.int32),
        given.astype(bool),
        yes.astype(float),
        no.astype(float),
        np.asarray(lower),
        np.asarray(upper),
        posterior.astype(float),
        report.astype(object),
        n_labels,
        one_of_many,
    )


def single(task: int, votes: tuple[int, int, int], given: int | None = None, **reports: str) -> list[Row]:
    """Three rows of a task of a single choice; reports by the name of the label: a, b, c."""
    total = sum(votes)
    return [
        (task, at, at == given, yes, total - yes, yes / max(total, 1), reports.get("abc"[at], ""))
        for at, yes in enumerate(votes)
    ]


def is_open(rows: list[Row], fewest_votes: float = 2, *, one_of_many: bool = True) -> list[int]:
    """Positions of the open rows; 0.10 rejects, and two votes decide."""
    rows_stored = stored(*rows, one_of_many=one_of_many)
    return np.flatnonzero(open_rows(rows_stored, 0.10, fewest_votes=fewest_votes)).tolist()


def test_one_confirmed_label_decides_a_single_choice() -> None:
    """The other labels that somebody chose are settled with it."""
    assert is_open(single(0, (4, 1, 0), a="Discovered")) == []
    assert is_open(single(0, (4, 1, 0), given=1, a="Discovered")) == []
    assert is_open(single(0, (4, 0, 0), given=0, a="AllConfirmed")) == []


def test_labels_that_were_chosen_or_given_and_are_undecided_are_open() -> None:
    """A label that nobody chose and no task came with is nobody's question."""
    assert is_open(single(0, (2, 2, 0), a="Controversial", b="Controversial")) == [0, 1]
    assert is_open(single(0, (1, 1, 0), given=2)) == [0, 1, 2]


def test_a_rejected_given_label_leaves_the_question_what_it_is_instead() -> None:
    """It is decided itself; the two that were chosen are not."""
    assert is_open(single(0, (3, 3, 0), given=2, c="MisClassified")) == [0, 1]


def test_a_task_without_votes_is_open() -> None:
    """With the label that it came with, or, where everybody skipped it, with all labels."""
    voted = single(1, (4, 0, 0), a="Discovered")
    assert is_open([(0, 0, True, 0, 0, 0.5, "NoVotes"), *voted]) == [0]
    assert is_open([*single(0, (0, 0, 0)), *voted]) == [0, 1, 2]


def test_a_multiple_choice_is_open_label_by_label() -> None:
    """A label confirmed does not settle the others; one that nearly nobody chose is turned down by its bound."""
    rows: list[Row] = [
        (0, 0, False, 5, 0, 0.99, "Discovered"),
        (0, 1, False, 2, 3, 0.40, "Controversial"),
        (0, 2, False, 1, 9, 0.0001, ""),
    ]
    assert is_open(rows, one_of_many=False) == [1]
    assert is_open([(0, 2, False, 1, 0, 0.0001, "")], one_of_many=False) == [0]


def test_nothing_chosen_needs_a_second_opinion() -> None:
    """Where one annotator found no label fitting, the labels are open until there are the fewest votes."""
    chosen_none: list[Row] = [(0, at, False, 0, 1, 0.1, "") for at in range(3)]
    assert is_open(chosen_none) == [0, 1, 2]
    assert is_open(chosen_none, fewest_votes=1) == []


def test_a_policy_that_rejects_by_the_confidence_turns_down_by_it() -> None:
    """As label-ai: below the line, not at it."""
    made = stored((0, 0, False, 1, 9, 0.5, ""), (0, 1, False, 1, 9, 0.9, ""))
    line = float(made.confidence[0])
    assert open_rows(made, line, by_lower_bound=True).tolist() == [True, True]
    assert open_rows(made, np.nextafter(line, 1), by_lower_bound=True).tolist() == [False, True]

"""What of a control is still open after a run."""

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from consensus.core.routing.open_classifications import Standing, open_rows, upper_bound

Row = tuple[int, int, bool, float, float, float, str]


def standing(*rows: Row, n_labels: int = 3) -> Standing:
    """Rows of (task, label, given, yes, no, posterior, report); the bounds are those of 60 effective votes."""
    task, label, given, yes, no, posterior, report = map(np.array, zip(*rows, strict=True))
    lower, _ = proportion_confint(posterior * 60, 60, 2 * norm.sf(1.96), "wilson")
    return Standing(
        task.astype(np.int32),
        label.astype(np.int32),
        given.astype(bool),
        yes.astype(float),
        no.astype(float),
        np.asarray(lower),
        posterior.astype(float),
        report.astype(object),
        n_labels,
    )


def single(task: int, votes: tuple[int, int, int], given: int | None = None, **reports: str) -> list[Row]:
    """Three rows of a task of a single choice; reports by the name of the label: a, b, c."""
    total = sum(votes)
    return [
        (task, at, at == given, yes, total - yes, yes / max(total, 1), reports.get("abc"[at], ""))
        for at, yes in enumerate(votes)
    ]


def is_open(rows: list[Row], **options: float) -> list[int]:
    """Positions of the open rows; 0.10 rejects, and two votes decide."""
    return np.flatnonzero(open_rows(standing(*rows), 0.10, fewest_votes=options.get("fewest_votes", 2))).tolist()


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
    assert is_open(rows) == [1]
    assert is_open([(0, 2, False, 1, 0, 0.0001, "")]) == [0]


def test_nothing_chosen_needs_a_second_opinion() -> None:
    """Where one annotator found no label fitting, the labels are open until there are the fewest votes."""
    chosen_none: list[Row] = [(0, at, False, 0, 1, 0.1, "") for at in range(3)]
    assert is_open(chosen_none) == [0, 1, 2]
    assert is_open(chosen_none, fewest_votes=1) == []


def test_a_policy_that_rejects_by_the_confidence_turns_down_by_it() -> None:
    """As label-ai: below the line, not at it."""
    made = standing((0, 0, False, 1, 9, 0.5, ""), (0, 1, False, 1, 9, 0.9, ""))
    line = float(made.confidence[0])
    assert open_rows(made, line, by_lower_bound=True).tolist() == [True, True]
    assert open_rows(made, np.nextafter(line, 1), by_lower_bound=True).tolist() == [False, True]


def test_a_single_choice_is_known_by_its_posterior() -> None:
    """It adds up to 1 on tasks with votes; a verification and a multiple choice do not, nor does a lone label."""
    assert standing(*single(0, (2, 1, 0)), (1, 0, True, 0, 0, 0.5, "NoVotes")).one_of_many
    assert not standing((0, 0, False, 1, 1, 0.9, ""), (0, 1, False, 1, 1, 0.9, "")).one_of_many
    assert not standing((0, 0, True, 2, 0, 1.0, "")).one_of_many
    assert not standing((0, 0, True, 2, 0, 1.0, ""), n_labels=1).one_of_many


@pytest.mark.parametrize(("share", "votes"), [(0.5, 10), (0.01, 300), (0.98, 4), (0.2, 1.5)])
def test_the_upper_bound_follows_from_the_lower_one(share: float, votes: float) -> None:
    """As statsmodels computes both."""
    lower, upper = proportion_confint(share * votes, votes, 2 * norm.sf(1.96), "wilson")
    assert upper_bound(np.array([share]), np.array([lower]))[0] == pytest.approx(upper)


def test_without_an_interval_nothing_is_turned_down() -> None:
    """A share at 0 or at its own bound tells no number of votes."""
    assert upper_bound(np.array([0.0, 0.3, 0.2]), np.array([0.0, 0.3, 0.4])).tolist() == [1, 1, 1]

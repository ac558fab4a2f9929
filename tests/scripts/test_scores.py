"""What the demo's tables count, by a project of four tasks that can be counted by hand."""

import math

import pytest
from demonstration import checking, results, scores
from demonstration.errors import DemoError
from demonstration.reading import Annotation, Held, Prediction, Tab, Task

MODEL = "resnet18-random-20260131T120005-3fa2"
GOOD, BAD = "good@example.com", "bad@example.com"
TRUTH = {"a.png": "1", "b.png": "2", "c.png": "3", "d.png": "4"}


def suggested(number: int, label: str, score: float) -> Prediction:
    """A suggestion of the model."""
    return Prediction(number, MODEL, (label,), score)


def entry(number: int, report: str, label: str) -> Prediction:
    """A report's entry."""
    return Prediction(number, f"consensus/{report}", (label,), 0.5)


def voted(**labels: str | None) -> tuple[Annotation, ...]:
    """Annotations by the two annotators."""
    return tuple(Annotation(f"{name}@example.com", label) for name, label in labels.items())


CONFIRMED = Task(
    "a.png", "1", voted(good="1", bad="7"), (suggested(1, "1", 0.8), entry(2, "AllConfirmed", "1")), 0.8
)
CAUGHT = Task(
    "b.png",
    "9",
    voted(good="2", bad=None),
    (suggested(3, "2", 0.6), entry(4, "MisClassified", "9"), entry(5, "Discovered", "2")),
    0.6,
)
ACCUSED = Task("c.png", "3", voted(bad="3"), (suggested(6, "8", 0.2), entry(7, "MisClassified", "3")), 0.2)
WRONG_WITHOUT_VOTES = Task("d.png", "0", (), (suggested(8, "4", 0.4), entry(9, "NoVotes", "0")), 0.4)
TAB_TASKS = {"AllConfirmed": 1, "MisClassified": 2, "Discovered": 1, "Controversial": 0, "NoVotes": 1}
HELD = Held(
    MODEL,
    (CONFIRMED, CAUGHT, ACCUSED, WRONG_WITHOUT_VOTES),
    {title: Tab(number, tasks) for number, (title, tasks) in enumerate(TAB_TASKS.items(), start=1)},
)


def test_reports_are_counted_from_their_predictions() -> None:
    """Entries, those whose label is the truth, and the tasks of the tab."""
    assert scores.count_reports(HELD, TRUTH) == [
        scores.ReportCount("AllConfirmed", 1, 1, 1, 1),
        scores.ReportCount("MisClassified", 2, 1, 2, 2),
        scores.ReportCount("Discovered", 1, 1, 1, 1),
        scores.ReportCount("Controversial", 0, 0, 0, 0),
        scores.ReportCount("NoVotes", 1, 0, 1, 1),
    ]


def test_given_labels_without_votes_can_be_neither_caught_nor_accused() -> None:
    """Of three tasks with votes one is wrong and caught, and one of two right ones is accused."""
    assert scores.judge_given(HELD, TRUTH) == scores.GivenLabels(wrong=1, caught=1, right=2, accused=1)


def test_reliability_is_the_share_of_right_labels() -> None:
    """Skips are counted apart; the estimated trust stands beside."""
    assert scores.judge_annotators(HELD, TRUTH, {BAD: 0.3, GOOD: 0.9}) == [
        scores.Reliability(GOOD, annotations=2, skips=0, right_share=1.0, trust=0.9),
        scores.Reliability(BAD, annotations=2, skips=1, right_share=0.5, trust=0.3),
    ]


def test_suggestions_are_compared_with_the_truth() -> None:
    """Two of the three suggestions for annotated tasks are right, and the one for the new task."""
    comparison = results.compare(HELD, TRUTH, {"annotators": []})
    assert comparison.learned == scores.Suggestions(3, 3, 2, pytest.approx((0.8 + 0.6 + 0.2) / 3))
    assert comparison.new == scores.Suggestions(1, 1, 1, 0.4)


def test_suggestions_of_other_versions_do_not_count() -> None:
    """A version that annotators do not see is no suggestion."""
    other = Held("another", HELD.tasks, HELD.tabs)
    scores_of_none = scores.judge_suggestions(other, TRUTH, list(TRUTH))
    assert (scores_of_none.tasks, scores_of_none.suggested, scores_of_none.right) == (4, 0, 0)
    assert math.isnan(scores_of_none.mean_score)


def test_a_missing_suggestion_fails() -> None:
    """A promise that fails is said, with an example."""
    checking.check_suggestions(HELD)
    with pytest.raises(DemoError, match=r"4 tasks have no suggestion of another, among them a\.png"):
        checking.check_suggestions(Held("another", HELD.tasks, HELD.tabs))


def test_a_missing_annotation_fails() -> None:
    """As many annotations as were submitted."""
    checking.check_submitted(HELD, 5)
    with pytest.raises(DemoError, match="6 annotations were submitted; Label Studio holds 5"):
        checking.check_submitted(HELD, 6)


def test_a_report_in_the_label_stream_fails() -> None:
    """An annotator sees the model's suggestion and nothing of consensus."""
    checking.check_stream([suggested(1, "1", 0.8)], HELD)
    with pytest.raises(DemoError, match=r"shows .*consensus/Discovered"):
        checking.check_stream([suggested(1, "1", 0.8), entry(2, "Discovered", "1")], HELD)
    with pytest.raises(DemoError, match="shows nothing"):
        checking.check_stream([], HELD)


def test_an_unsorted_or_empty_score_column_fails() -> None:
    """The last digit may move; the order may not."""
    checking.check_sorted([0.1, 0.2000000001, 0.2])
    for wrong in ([0.3, 0.2], [0.1, None]):
        with pytest.raises(DemoError, match="not sorted"):
            checking.check_sorted(wrong)


def test_reports_that_their_tabs_do_not_show_fail() -> None:
    """Entries of four tasks and a tab of three do not fit."""
    given = scores.GivenLabels(wrong=3, caught=2, right=5, accused=0)
    checking.check_reports(scores.count_reports(HELD, TRUTH), given)
    with pytest.raises(DemoError, match="Discovered is about 4 tasks; its tab shows 3"):
        checking.check_reports([scores.ReportCount("Discovered", 5, 5, 3, 4)], given)


def test_catching_no_more_than_is_accused_fails() -> None:
    """Accusing as many right labels as wrong ones are caught is worth nothing."""
    with pytest.raises(DemoError, match="caught 2 wrong labels and accused 2"):
        checking.check_reports([], scores.GivenLabels(wrong=3, caught=2, right=5, accused=2))


def test_a_second_run_that_sends_something_fails() -> None:
    """Both what consensus says and what Label Studio holds must stand still."""
    nothing = {"writes": {"created": 0, "deleted": 0}}
    checking.check_unchanged(HELD, HELD, nothing)
    with pytest.raises(DemoError, match="'created': 1"):
        checking.check_unchanged(HELD, HELD, {"writes": {"created": 1}})
    with pytest.raises(DemoError, match="it sent changes"):
        checking.check_unchanged(HELD, Held(MODEL, HELD.tasks[:3], HELD.tabs), nothing)

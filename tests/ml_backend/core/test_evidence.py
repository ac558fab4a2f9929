from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml_backend.core.controls import Control
from ml_backend.core.evidence import Annotation, targets

SINGLE = Control("kind", "image", ("a", "b", "c"), multiple=False, image_key="image")
MULTIPLE = replace(SINGLE, multiple=True)


def said(annotator: int, *labels: str, at: int = 1, skipped: bool = False, truth: bool = False) -> Annotation:
    """An annotation of the control ``kind``."""
    chosen = {"kind": labels} if labels else {}
    return Annotation(annotator, f"2026-01-01T00:00:{at:02}Z", skipped, truth, chosen)


def row(control: Control, *annotations: Annotation) -> list[float] | None:
    """The target of one task, None where nothing is known."""
    shares, answered = targets(control, [annotations])
    return shares[0].tolist() if answered[0] else None


def test_annotators_share_a_task() -> None:
    """Three of four annotators chose a: its share is 3 / 4."""
    assert row(SINGLE, said(1, "a"), said(2, "a"), said(3, "b"), said(4, "a")) == [3 / 4, 1 / 4, 0]


def test_the_latest_annotation_counts() -> None:
    """Whoever annotates again replaces the own earlier annotation, in whatever order they are listed."""
    assert row(SINGLE, said(1, "b", at=2), said(1, "a", at=1)) == [0, 1, 0]


def test_a_skip_withdraws_what_was_said_before() -> None:
    """An annotator who skips at last has said nothing."""
    assert row(SINGLE, said(1, "a", at=1), said(1, skipped=True, at=2)) is None


def test_ground_truth_outweighs_everybody() -> None:
    """Where a task has ground truth, votes do not count."""
    assert row(SINGLE, said(1, "a"), said(2, "a"), said(3, "c", truth=True)) == [0, 0, 1]


def test_an_empty_single_choice_says_nothing() -> None:
    """An annotation that left the control empty is no evidence for a single choice."""
    assert row(SINGLE, said(1)) is None


def test_an_empty_multiple_choice_says_none() -> None:
    """An annotation that left the control empty is evidence against every label of a multiple choice."""
    assert row(MULTIPLE, said(1), said(2, "a", "b")) == [1 / 2, 1 / 2, 0]


def test_labels_of_an_older_config_are_no_evidence() -> None:
    """A label that the control does not have any more says nothing about those it has."""
    assert row(MULTIPLE, said(1, "gone")) is None
    assert row(SINGLE, said(1, "gone"), said(2, "b")) == [0, 1, 0]


annotations = st.lists(
    st.builds(
        said,
        st.integers(1, 4),
        st.sampled_from(["a", "b", "c", "gone"]),
        at=st.integers(0, 59),
        skipped=st.booleans(),
        truth=st.booleans(),
    ),
    max_size=8,
    unique_by=lambda one: one.updated_at,
)


@given(annotations, st.randoms())
def test_order_does_not_matter_and_shares_are_shares(found: list[Annotation], random: object) -> None:
    """However the annotations are listed, a known single choice is a distribution, the same one."""
    shares, answered = targets(SINGLE, [found])
    random.shuffle(found)  # type: ignore[attr-defined]
    again, known_again = targets(SINGLE, [found])
    np.testing.assert_allclose(shares, again, atol=1e-6)
    assert answered.tolist() == known_again.tolist()
    assert np.isclose(shares.sum(), 1 if answered[0] else 0)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metrics import accuracy, bins_of, brier, calibration_error, hits, log_loss, share_right, smoothed


def test_a_tie_counts_in_part() -> None:
    """One of three classes tied at the top counts a third, and one below the top nothing."""
    belief = np.array([[1 / 3, 1 / 3, 1 / 3], [0.4, 0.4, 0.2], [0.4, 0.4, 0.2]])
    assert hits(belief, np.array([2, 1, 2])).tolist() == pytest.approx([1 / 3, 1 / 2, 0])
    assert accuracy(belief, np.array([2, 1, 2])) == pytest.approx(5 / 18)


def test_rounding_is_no_difference() -> None:
    """Beliefs that differ by rounding are tied."""
    assert hits(np.array([[0.5 + 1e-12, 0.5 - 1e-12]]), np.array([1])).tolist() == [0.5]


def test_brier_sums_over_the_classes() -> None:
    """The Brier score of an even belief over two classes is 1/4 + 1/4, and of being surely wrong 2."""
    assert brier(np.array([[0.5, 0.5]]), np.array([0])) == 0.5
    assert brier(np.array([[1.0, 0.0]]), np.array([1])) == 2.0


def test_log_loss_charges_no_belief_below_the_floor() -> None:
    """A belief of 0 in the truth costs as much as one of a millionth."""
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(6 * np.log(10))


def test_smoothing_spreads_the_votes_that_are_added() -> None:
    """Two votes to none and one added vote are 2.5 to 0.5."""
    assert smoothed(np.array([[2.0, 0.0]]), 1.0)[0].tolist() == pytest.approx([2.5 / 3, 0.5 / 3])


def test_calibration_error_weighs_bins_by_what_is_in_them() -> None:
    """Three of four stated as 0.95 right (off by 0.2), and one of one stated as 0.5 (off by 0.5)."""
    stated = np.array([0.95, 0.95, 0.95, 0.95, 0.5])
    right = np.array([True, True, True, False, True])
    assert calibration_error(stated, right) == pytest.approx(4 / 5 * 0.2 + 1 / 5 * 0.5)


def test_certainty_falls_into_the_last_bin() -> None:
    """1 has no bin of its own."""
    assert bins_of(np.array([0.0, 0.1, 0.95, 1.0]), 10).tolist() == [0, 1, 9, 9]


def test_share_right_of_nothing() -> None:
    """Where nothing has the confidence, no share is right."""
    right, share = share_right(np.array([0.2]), np.array([True]), 0.5)
    assert np.isnan(right)
    assert share == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_calibration_error_is_a_probability(stated: list[float], random: object) -> None:
    """It lies between 0 and 1, whatever is stated."""
    right = np.array([random.random() < 0.5 for _ in stated])  # type: ignore[attr-defined]
    assert 0 <= calibration_error(np.array(stated), right) <= 1

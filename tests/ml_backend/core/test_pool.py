import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml_backend.core.scores import Pool

ONE = np.array([[0.9, 0.1]], dtype=np.float32)
OTHER = np.array([[0.5, 0.5]], dtype=np.float32)


@pytest.mark.parametrize("multiple", [False, True])
def test_a_share_of_none_or_all_is_one_opinion(multiple: bool) -> None:  # noqa: FBT001
    """With share 0 only the clusters speak, with share 1 only the linear classifier."""
    np.testing.assert_allclose(Pool(share=0).join(ONE, OTHER, multiple=multiple), ONE, rtol=1e-5)
    np.testing.assert_allclose(Pool(share=1).join(ONE, OTHER, multiple=multiple), OTHER, rtol=1e-5)


def test_half_and_half_is_the_geometric_mean() -> None:
    """Odds of 9 and of 1 make odds of 3."""
    joined = Pool(share=0.5).join(ONE, OTHER, multiple=False)
    np.testing.assert_allclose(joined, [[3 / 4, 1 / 4]], rtol=1e-5)


def test_labels_of_a_multiple_choice_do_not_share() -> None:
    """Each label has odds of its own: 9 and 1 make 3, 1/9 and 1 make 1/3; sharpened by 2 they are 9 and 1/9."""
    joined = Pool(share=0.5, sharpness=2).join(ONE, OTHER, multiple=True)
    np.testing.assert_allclose(joined, [[9 / 10, 1 / 10]], rtol=1e-5)


rows = arrays(np.float64, (3, 4), elements=st.floats(0, 1)).map(
    lambda one: (one + 1e-3) / (one + 1e-3).sum(1)[:, None]
)


@given(rows, st.floats(0.25, 4), st.booleans())
def test_sharpening_keeps_the_order(probabilities: np.ndarray, exponent: float, multiple: bool) -> None:  # noqa: FBT001
    """However sharp, scores stay in [0, 1], single choices sum to 1, and no two labels change places."""
    sharp = Pool(sharpness=exponent).join(probabilities, probabilities, multiple=multiple)
    assert sharp.min() >= 0
    assert sharp.max() <= 1
    if not multiple:
        np.testing.assert_allclose(sharp.sum(axis=1), 1, rtol=1e-5)
    for before, after in zip(probabilities, sharp, strict=True):
        assert (np.diff(after[np.argsort(before)]) >= -1e-6).all()

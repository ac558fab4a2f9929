from itertools import pairwise

from ml_backend.core.finetune.loop import cosine


def test_the_rate_goes_up_to_one_and_down_to_almost_nothing() -> None:
    """Of 100 steps five go up, and from the sixth on each is below the one before it."""
    shares = [cosine(step, 100) for step in range(100)]
    assert shares[:6] == [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
    assert all(later < earlier for earlier, later in pairwise(shares[5:]))
    assert 0 < shares[-1] < 0.001


def test_one_step_has_the_whole_rate() -> None:
    """A run of one step learns at full speed."""
    assert cosine(0, 1) == 1

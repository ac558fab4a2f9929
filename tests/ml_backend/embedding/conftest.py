"""The time of the tests of the cache."""

import pytest

DAY_S = 86_400


class Clock:
    """A clock that stands until it is moved."""

    now = 1000.0 * DAY_S

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Some day."""
    return Clock()

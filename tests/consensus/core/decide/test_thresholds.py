import math
from dataclasses import replace

import pytest

from consensus.core.decide.thresholds import Thresholds
from consensus.errors import ConfigError

GOOD = Thresholds(confirm=0.9, reject=0.1, controversial_votes=5)


def test_lines_that_touch_their_limits_are_taken() -> None:
    """Confirming at 1, rejecting at 0 or where confirming starts, and an empty band of controversy are allowed."""
    lines = Thresholds(confirm=1, reject=0, controversial_votes=0, controversial_low=0.5, controversial_high=0.5)
    assert lines.confirm == 1
    assert replace(lines, confirm=0.5, reject=0.5).reject == 0.5


@pytest.mark.parametrize(
    "name", ["confirm", "reject", "controversial_votes", "controversial_low", "controversial_high", "fewest_votes"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, "0.5", None])
def test_what_is_no_number_of_0_or_more_is_refused(name: str, value: object) -> None:
    """The message names the line and its value."""
    with pytest.raises(ConfigError, match=f"threshold {name} is {value!r}; use a number of 0 or more"):
        replace(GOOD, **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("reject", "confirm"), [(0.9, 0.1), (0.5, 0.49), (0.1, 1.01)])
def test_lines_that_cross_are_refused(reject: float, confirm: float) -> None:
    """Rejecting must not end above confirming, nor confirming above 1."""
    with pytest.raises(ConfigError, match=f"reject is {reject} and confirm {confirm}"):
        replace(GOOD, reject=reject, confirm=confirm)


def test_a_band_upside_down_is_refused() -> None:
    """The lower end of the controversial band must not lie above the upper."""
    with pytest.raises(ConfigError, match=r"controversial_low is 0\.6, above controversial_high 0\.3"):
        replace(GOOD, controversial_low=0.6, controversial_high=0.3)

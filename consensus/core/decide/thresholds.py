"""Where a policy draws its lines."""

import math
from dataclasses import dataclass, fields

from consensus.errors import ConfigError


@dataclass(frozen=True)
class Thresholds:
    """Lines between confirmed, rejected and undecided.

    Attributes
    ----------
    confirm : float
        Confidence from which a classification is confirmed, in (0, 1].
    reject : float
        Policy `label-ai`: confidence below which a classification is rejected. The others: *upper* bound up to
        which it is (`majority`: below which), so that few votes do not reject. In [0, `confirm`].
    controversial_votes : float
        Many votes. `label-ai`: its total must exceed this. The others: at least this many yes and no votes.
    controversial_low, controversial_high : float
        `label-ai` calls a confidence strictly between the two undecided; the others need no such band.
    fewest_votes : float
        On fewer yes and no votes nothing is decided; `label-ai` does not know it.
    """

    confirm: float
    reject: float
    controversial_votes: float
    controversial_low: float = 0.0
    controversial_high: float = 1.0
    fewest_votes: float = 0.0

    def __post_init__(self) -> None:
        """Refuse lines that cross.

        Raises
        ------
        ConfigError
            Where a value is not finite or out of order.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise ConfigError(f"threshold {field.name} is {value!r}; use a number of 0 or more")
        if not self.reject <= self.confirm <= 1:
            raise ConfigError(
                f"threshold reject is {self.reject} and confirm {self.confirm}; reject must not lie above "
                "confirm, and confirm at most at 1"
            )
        if self.controversial_low > self.controversial_high:
            raise ConfigError(
                f"threshold controversial_low is {self.controversial_low}, above controversial_high "
                f"{self.controversial_high}; swap them"
            )

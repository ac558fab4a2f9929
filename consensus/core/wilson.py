"""The Wilson score interval."""

import numpy as np

from consensus.core.arrays import Floats

Z95 = 1.96
"""The z of policy `label-ai`: two-sided 95 %, rounded as its definition rounds it."""


def wilson_interval(positive: Floats, total: Floats, z: float = Z95) -> tuple[Floats, Floats]:
    """Bounds of the Wilson score interval of a proportion.

    Parameters
    ----------
    positive : (n,) float64
        Successes, not negative; fractions are allowed, as trust weighs votes.
    total : (n,) float64
        Trials, at least `positive`; where it is 0 the interval is [0, 1].
    z : float
        Quantile of the normal distribution; two-sided 95 % by default.

    Returns
    -------
    lower, upper : (n,) float64
        In [0, 1].

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22 (1927), 209-212. doi:10.1080/01621459.1927.10502953

    Examples
    --------
    >>> lower, upper = wilson_interval(np.array([5.0]), np.array([10.0]))
    >>> round(float(lower[0]), 10)
    0.2365895936
    """
    some = total > 0
    trials = np.where(some, total, 1.0)
    share = np.clip(positive / trials, 0.0, 1.0)
    # Numerators and denominator times the trials, so that few trials do not overflow.
    centre, scale = share * trials + z**2 / 2, trials + z**2
    spread = z * np.sqrt(share * (1 - share) * trials + z**2 / 4)
    lower = np.where(some, np.clip((centre - spread) / scale, 0.0, 1.0), 0.0)
    upper = np.where(some, np.clip((centre + spread) / scale, 0.0, 1.0), 1.0)
    return lower, upper

"""Which tasks are worth an annotator's next minutes: uncertain ones, spread over the clusters.

Uncertainty sampling: Settles, Active Learning Literature Survey, University of Wisconsin-Madison, Computer
Sciences Technical Report 1648, 2009, section 3.1. Uncertain tasks of one cluster tell the same thing several
times, hence the clusters: Zhdanov, Diverse mini-batch active learning, 2019, arXiv:1901.05954.
"""

import numpy as np
from numpy.typing import NDArray


def most_informative(scores: NDArray[np.floating], clusters: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Choose tasks by least score, taking turns between the clusters.

    Parameters
    ----------
    scores : (n_tasks,) float
        Of their suggestions, in [0, 1].
    clusters : (n_tasks,) int
    count : int
        How many are wanted; all are given if there are fewer.

    Returns
    -------
    (min(count, n_tasks),) int64
        Positions in ``scores``: first the most uncertain task of each cluster, in the order of their scores, then
        the second of each, and so on.

    Examples
    --------
    >>> most_informative(np.array([0.2, 0.3, 0.9, 0.4]), np.array([0, 0, 1, 2]), 3).tolist()
    [0, 3, 2]
    """
    by_score = np.argsort(scores, kind="stable")
    turn = np.empty(len(scores), dtype=np.int64)
    n_dealt: dict[int, int] = {}
    for position in by_score:
        cluster = int(clusters[position])
        turn[position] = n_dealt.get(cluster, 0)
        n_dealt[cluster] = turn[position] + 1
    return np.asarray(np.lexsort((scores, turn))[:count], dtype=np.int64)

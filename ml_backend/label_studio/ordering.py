"""The label stream's order: the most informative tasks get a prediction that names their cluster.

Under "Uncertainty sampling" Label Studio serves, of the tasks with a prediction of the project's version, those of
the clusters that the annotator has solved least, and of these the one with the lowest score. The bulk import drops
clusters, so the first tasks of the stream are stored one by one. The others count as one more cluster, and come
when that is the least solved.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

import numpy as np
import structlog

from ml_backend.core.active import most_informative
from ml_backend.errors import LabelStudioError
from ml_backend.label_studio.client import LabelStudioClient

log = structlog.get_logger()

UNCERTAINTY = "Uncertainty sampling"
ONE_EACH = (
    'set "Annotations per task" of the project to 1 and let `consensus route` ask for more votes where they are '
    "needed: a higher overlap of single tasks does not change the order"
)
"""What helps where ``waits_for_begun_tasks``."""
_CLUSTERS = 1000  # more than there are; keeps the numbers of two versions apart
_MINUTES = 2_000_000  # about four years; with the clusters it fits the 31 bits of Label Studio's column


def store_in_order(
    client: LabelStudioClient,
    predictions: Sequence[dict[str, Any]],
    cluster_of: Mapping[int, int],
    *,
    made_at: datetime,
    count: int,
    limit_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> AbstractSet[int]:
    """Store the predictions of the most informative tasks with their clusters.

    What cannot be stored is left for the bulk import, as is all that takes longer than the limit.

    Parameters
    ----------
    predictions : sequence of dict
        Of the tasks that still wait for an annotator, each with its ``task`` and ``score``.
    cluster_of : mapping of int to int
        Cluster by task; a task that is not in it is left for the bulk import.
    made_at : datetime
        When the version was made: clusters of another version are other clusters.
    count : int
        How many at most; Label Studio takes 10 to 100 a second.

    Returns
    -------
    set of int
        The tasks whose prediction is stored now.
    """
    open_ones = [prediction for prediction in predictions if prediction["task"] in cluster_of]
    if not open_ones or count < 1:
        return frozenset()
    clusters = np.array([cluster_of[prediction["task"]] for prediction in open_ones])
    chosen = most_informative(np.array([prediction["score"] for prediction in open_ones]), clusters, count)
    first = int(made_at.timestamp() // 60) % _MINUTES * _CLUSTERS
    stored: set[int] = set()
    ends_at = clock() + limit_s
    for row in chosen:
        if clock() > ends_at:
            log.warning("stream_order_cut_short", stored=len(stored), wanted=len(chosen))
            break
        prediction = open_ones[row] | {"cluster": first + int(clusters[row]) % _CLUSTERS}
        try:
            client.create_prediction(prediction)
        except LabelStudioError as error:  # the bulk import looks at what arrived, and stores the rest
            log.warning("prediction_without_cluster", task=prediction["task"], error=str(error))
        else:
            stored.add(prediction["task"])
    return stored


def waits_for_begun_tasks(sampling: object, overlap: int) -> str:
    """Return why a project's order of tasks has no effect yet, as long as some are begun; empty where it has.

    See ``_try_breadth_first`` in Label Studio's ``projects/functions/next_task.py``: where a project asks for
    several annotations a task, who asks gets, at random, one of the open tasks that others have annotated most.

    Examples
    --------
    >>> waits_for_begun_tasks(UNCERTAINTY, 3)[:34]
    'with 3 annotations per task Label '
    >>> waits_for_begun_tasks(UNCERTAINTY, 1), waits_for_begun_tasks("Sequential sampling", 3)
    ('', '')
    """
    if sampling != UNCERTAINTY or overlap <= 1:
        return ""
    return (
        f"with {overlap} annotations per task Label Studio first serves, at random, the tasks that others have "
        "begun: uncertainty only chooses which is begun next, once an annotator has none of those left"
    )

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml_backend.core.active import most_informative


def test_clusters_take_turns() -> None:
    """The three surest tasks of cluster 1 wait until clusters 2 and 3 had their turn."""
    scores = np.array([0.1, 0.2, 0.3, 0.8, 0.9])
    clusters = np.array([1, 1, 1, 2, 3])
    assert most_informative(scores, clusters, 5).tolist() == [0, 3, 4, 1, 2]


def test_within_a_cluster_the_least_score_comes_first() -> None:
    """With one cluster it is plain uncertainty sampling."""
    assert most_informative(np.array([0.5, 0.1, 0.3]), np.zeros(3, dtype=int), 2).tolist() == [1, 2]


def test_equal_scores_keep_their_order() -> None:
    """Ties do not depend on the sort."""
    assert most_informative(np.full(4, 0.5), np.zeros(4, dtype=int), 4).tolist() == [0, 1, 2, 3]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3)), max_size=30),
    st.integers(0, 40),
)
def test_each_task_is_given_at_most_once(tasks: list[tuple[float, int]], count: int) -> None:
    """As many as wanted or as there are, no task twice, and with one turn each all clusters are in it."""
    scores = np.array([score for score, _ in tasks])
    clusters = np.array([cluster for _, cluster in tasks], dtype=int)
    chosen = most_informative(scores, clusters, count).tolist()
    assert len(chosen) == len(set(chosen)) == min(count, len(tasks))
    first = most_informative(scores, clusters, len(set(clusters.tolist())))
    assert set(clusters[first].tolist()) == set(clusters.tolist())

"""What ``/metrics`` counts.

With several workers, ``serve`` sets ``PROMETHEUS_MULTIPROC_DIR`` before this module is imported, and each worker's
page then shows the sum of all.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_registry = CollectorRegistry()
_SECONDS = (0.005, 0.02, 0.1, 0.5, 1, 3, 10, 30, 100)

REQUESTS = Counter("ml_backend_requests", "Answered requests", ["route", "status"], registry=_registry)
REQUEST_SECONDS = Histogram(
    "ml_backend_request_seconds", "Time to answer", ["route"], buckets=_SECONDS, registry=_registry
)
TASKS = Counter("ml_backend_tasks", "Tasks of /predict by outcome", ["outcome"], registry=_registry)
FAILURES = Counter(
    "ml_backend_task_failures", "Tasks with a missing suggestion by reason", ["reason"], registry=_registry
)
EMBEDDINGS = Counter("ml_backend_embeddings", "Embeddings of /predict by source", ["source"], registry=_registry)
TRAININGS = Counter(
    "ml_backend_trainings", "Trainings in the background by result", ["result"], registry=_registry
)
TRAINING_SECONDS = Histogram(
    "ml_backend_training_seconds", "Time of a training", buckets=(1, 3, 10, 30, 100, 300, 1000), registry=_registry
)


def exposition() -> bytes:
    """Write all counts in Prometheus' text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(_registry)
    merged = CollectorRegistry()
    MultiProcessCollector(merged)  # type: ignore[no-untyped-call]
    return generate_latest(merged)

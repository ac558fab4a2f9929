"""What ``/metrics`` counts.

With several workers, ``serve`` sets ``PROMETHEUS_MULTIPROC_DIR`` before this module is imported, and each worker's
page then shows the sum of all.
"""

import os
import re

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

_registry = CollectorRegistry()
# Fine around 0.1 and 0.3 s, below which 99 in 100 answers to annotators should stay.
_ANSWER_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1, 3, 10, 30, 100)
_TRAINING_S = (1, 3, 5, 10, 20, 30, 60, 120, 300, 1000, 3600)
_BATCH = (1, 2, 4, 8, 16, 32, 64, 128)
_REASONS = 60  # a page of metrics must not grow with what is sent to us
_REASON = re.compile(r"\w{1,60}", re.ASCII)
_STATUS = re.compile(r"http_(\d)\d\d")  # a server of images may make up any

REQUESTS = Counter("ml_backend_requests", "Answered requests", ["route", "status"], registry=_registry)
REQUEST_SECONDS = Histogram(
    "ml_backend_request_seconds", "Time to answer", ["route"], buckets=_ANSWER_S, registry=_registry
)
TASKS = Counter("ml_backend_tasks", "Tasks of /predict by outcome", ["outcome"], registry=_registry)
FAILURES = Counter(
    "ml_backend_task_failures", "Tasks with a missing suggestion by reason", ["reason"], registry=_registry
)
EMBEDDINGS = Counter("ml_backend_embeddings", "Embeddings of /predict by source", ["source"], registry=_registry)
BATCH_IMAGES = Histogram(
    "ml_backend_batch_images", "Images that were embedded together", buckets=_BATCH, registry=_registry
)
TRAININGS = Counter(
    "ml_backend_trainings", "Trainings in the background by result", ["result"], registry=_registry
)
TRAINING_SECONDS = Histogram(
    "ml_backend_training_seconds", "Time of a training", buckets=_TRAINING_S, registry=_registry
)

_counted: set[str] = set()


def count_failures(reason: str, tasks: int) -> None:
    """Count tasks without a suggestion; what is no short code, or one too many, counts as ``other``."""
    reason = _STATUS.sub(r"http_\1xx", reason)
    if reason not in _counted and (len(_counted) >= _REASONS or not _REASON.fullmatch(reason)):
        reason = "other"
    _counted.add(reason)
    FAILURES.labels(reason).inc(tasks)


def exposition(*found_now: Collector) -> bytes:
    """Write all counts in Prometheus' text format, and what some collectors find at this moment."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        counted = CollectorRegistry()
        MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    else:
        counted = _registry
    present = CollectorRegistry()
    for collector in found_now:
        present.register(collector)
    return generate_latest(counted) + generate_latest(present)

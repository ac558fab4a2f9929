"""What ``/metrics`` counts."""

from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY = CollectorRegistry()
_ANSWER_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)  # a page is to stay below 0.2

REQUESTS = Counter("consensus_requests", "Answered requests", ["route", "status"], registry=REGISTRY)
REQUEST_SECONDS = Histogram(
    "consensus_request_seconds", "Time to answer", ["route"], buckets=_ANSWER_S, registry=REGISTRY
)
JOBS = Counter("consensus_jobs", "Background work by kind and result", ["kind", "result"], registry=REGISTRY)

"""What `consensus schedule` says of itself, in Prometheus' format."""

import time

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from consensus.errors import ConfigError

REGISTRY = CollectorRegistry()
TICK = Gauge(
    "consensus_schedule_tick_timestamp_seconds",
    "When the last tick of the schedule ended, or the schedule began",
    registry=REGISTRY,
)
TICK_OK = Gauge(
    "consensus_schedule_tick_ok", "Whether the last tick could ask Label Studio and the store", registry=REGISTRY
)
PROJECT_OK = Gauge(
    "consensus_schedule_project_ok",
    "Whether the schedule's last run of a project was finished",
    ["project"],
    registry=REGISTRY,
)


def serve_metrics(address: str) -> None:
    """Answer GET /metrics at an address such as 127.0.0.1:9092, in the background.

    Raises
    ------
    ConfigError
        If nothing can be served there.
    """
    host, _, port = address.rpartition(":")
    ended(ok=True)
    try:
        start_http_server(int(port), host, REGISTRY)
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError(
            f"CONSENSUS_METRICS_ADDRESS is {address!r}, where nothing can be served ({error}); use a free port of "
            "this machine, as in 127.0.0.1:9092"
        ) from None


def ended(*, ok: bool) -> None:
    """Note the end of a tick."""
    TICK.set(time.time())
    TICK_OK.set(ok)

"""What a schedule says of itself to Prometheus."""

import socket

import httpx
import pytest
from made_projects import PROJECT, InMemoryProject

from common.errors import LabelStudioError
from consensus.commands import schedule_metrics, scheduling
from consensus.commands.connections import store
from consensus.errors import ConfigError

OK = "consensus_schedule_project_ok"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> InMemoryProject:
    """A project that a schedule can run."""
    made = InMemoryProject.judged(people=10, waiting=6, wrong=0)
    monkeypatch.setattr(scheduling, "_now", made.now)
    monkeypatch.setattr(scheduling, "studio", made.connected)
    store(make=True)
    return made


def value(name: str, **labels: str) -> float | None:
    """A sample as it would be scraped now."""
    return schedule_metrics.REGISTRY.get_sample_value(name, labels)


def test_a_tick_says_when_it_ended_and_which_project_was_finished(
    made: InMemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that fails is named until it is finished; of one that is gone nothing is said any more."""
    schedule_metrics.PROJECT_OK.labels("99").set(1)
    scheduling._run_all(None)
    assert (value(OK, project=str(PROJECT)), value(OK, project="99")) == (1, None)
    assert value("consensus_schedule_tick_ok") == 1
    assert value("consensus_schedule_tick_timestamp_seconds")

    def fails(*_: object, **__: object) -> None:
        raise LabelStudioError("Label Studio refuses")

    monkeypatch.setattr(scheduling, "run_project", fails)
    made.later()
    scheduling._run_all(None)
    assert (value(OK, project=str(PROJECT)), value("consensus_schedule_tick_ok")) == (0, 1)


def test_a_tick_that_reaches_nothing_says_so(made: InMemoryProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time goes on, so that a schedule that stands still is another alarm."""
    monkeypatch.setattr(scheduling, "studio", lambda: (_ for _ in ()).throw(LabelStudioError("no answer")))
    schedule_metrics.TICK.set(0)
    scheduling._run_all(None)
    assert value("consensus_schedule_tick_ok") == 0
    assert value("consensus_schedule_tick_timestamp_seconds") != 0
    assert made.server.writes == []


def test_it_is_served_where_the_settings_say() -> None:
    """In Prometheus' format; a place that cannot be used is named with the variable."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for wrong in (address, "127.0.0.1:many", "127.0.0.1:99999", "9092:"):
            with pytest.raises(ConfigError, match="CONSENSUS_METRICS_ADDRESS"):
                schedule_metrics.serve_metrics(wrong)
    schedule_metrics.serve_metrics(address)
    assert "consensus_schedule_tick_ok 1.0" in httpx.get(f"http://{address}/metrics").text

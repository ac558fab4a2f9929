"""The command `consensus serve` behind gunicorn."""

import os
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest
from made_store import filled
from running_service import TOKEN, running
from servers import ServerError

pytestmark = pytest.mark.server
STOP_S = 20


def test_it_answers_and_ends_with_a_signal(tmp_path: Path) -> None:
    """What the store holds; a slow client keeps nobody waiting; neither log nor answer holds the token."""
    url = f"sqlite:///{tmp_path}/store.db"
    filled(url)
    with running(tmp_path, CONSENSUS_DATABASE_URL=url) as (address, server):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as slow:
            slow.sendall(b"GET /health HT")
            answer = httpx.get(f"{address}/api/projects/7/reports/Discovered", headers=headers)
            assert [row["task"] for row in answer.json()["items"]] == [1, 9, 3]
        assert httpx.get(f"{address}/api/projects/7").status_code == 401
        os.kill(server.pid, signal.SIGTERM)
        end = time.monotonic() + STOP_S
        while server.is_running and time.monotonic() < end:
            time.sleep(0.05)
        assert not server.is_running
        assert TOKEN not in server.log.read_text(encoding="utf-8")


def test_it_does_not_start_without_a_token(tmp_path: Path) -> None:
    """But says what to set, in one sentence."""
    with pytest.raises(ServerError, match="ended while it started"), running(tmp_path, CONSENSUS_API_TOKEN=""):
        pass
    assert "error: CONSENSUS_API_TOKEN is not set" in (tmp_path / "serve.log").read_text(encoding="utf-8")

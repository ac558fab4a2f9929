"""Starts the command `consensus serve` for tests."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import Server, free_port

TOKEN = "a-token-of-these-tests"
START_S = 60


@contextmanager
def running(folder: Path, *words: str, **environment: str) -> Iterator[tuple[str, Server]]:
    """Start the service on a free port, with the token unless another is named; yield its address.

    Parameters
    ----------
    folder : Path
        Where it works and logs.
    """
    port = free_port()
    command = [sys.executable, "-m", "consensus.cli", "serve", "--port", str(port), *words]
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "CONSENSUS_API_TOKEN": TOKEN, **environment}
    server = Server("consensus serve", command, variables, folder / "serve.log")
    url = f"http://127.0.0.1:{port}"
    try:
        server.wait_for_answer(f"{url}/health", START_S)
        yield url, server
    finally:
        server.stop()

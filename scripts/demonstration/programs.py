"""The suite's own two programs, started and asked as anyone would: by their command lines."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from dataclasses import dataclass, field
from json import loads
from typing import TYPE_CHECKING, Any

import httpx
from environments import ours
from servers import Server

from demonstration.errors import DemoError
from demonstration.options import PACKAGED

if TYPE_CHECKING:
    from pathlib import Path


QUIET_SECONDS = 3
"""Seconds without an annotation after which the backend trains."""
START_SECONDS = 240.0
"""The first start also compiles what was installed; on a busy machine that takes a while."""
CONSENSUS_SECONDS, POLL_SECONDS = 180.0, 0.5
OTHERS = ("ML_BACKEND_", "CONSENSUS_", "LABEL_STUDIO_", "PROMETHEUS_")


@dataclass(frozen=True)
class Suite:
    """Our two programs, told about one Label Studio.

    Attributes
    ----------
    url, token
        The Label Studio that they work for, and its administrator's token.
    folder
        Where they keep what they make.
    """

    url: str
    token: str = field(repr=False)
    folder: Path

    @staticmethod
    def backend_url(port: int) -> str:
        """Address of the ML backend, as Label Studio is told."""
        return f"http://127.0.0.1:{port}"

    def start_backend(self, port: int, weights: str) -> Server:
        """Start the ML backend; it answers some seconds later."""
        command = [str(ours().program("ml-backend")), "serve", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--workers", "1"]
        own = {
            "ML_BACKEND_DATA_DIR": str(self.folder / "ml-backend"),
            "ML_BACKEND_BACKBONE": PACKAGED if weights == PACKAGED else "auto",
            "ML_BACKEND_WEIGHTS": "imagenet" if weights == PACKAGED else weights,
            "ML_BACKEND_PUBLIC_URL": self.backend_url(port),
            "ML_BACKEND_QUIET_S": str(QUIET_SECONDS),
            # One training of all annotations, however long a busy machine takes to submit them.
            "ML_BACKEND_MAX_WAIT_S": "3600",
            "ML_BACKEND_TRAINING_TORCH_THREADS": str(os.cpu_count() or 1),
        }
        return Server("The ML backend", command, self._environment() | own, self.folder / "ml-backend.log")

    def loaded_weights(self, backend: Server, port: int) -> str:
        """Wait until the backend has its weights; return whose and which ones.

        Raises
        ------
        DemoError
            Where it can have none, ends, or takes too long.
        """
        end = time.monotonic() + START_SECONDS
        backend.wait_for_answer(f"{self.backend_url(port)}/health", START_SECONDS)
        while backend.is_running and time.monotonic() < end:
            health = httpx.get(f"{self.backend_url(port)}/health", timeout=10, trust_env=False).json()
            if health["error"]:
                raise DemoError(f"The ML backend has no weights: {health['error']}")
            if health["model_loaded"]:
                return f"{health['backbone']}'s {health['weights']}"
            time.sleep(POLL_SECONDS)
        raise DemoError(f"The ML backend loaded no weights. Its last lines:\n{backend.last_lines()}")

    def start_console(self, port: int, backend_port: int) -> Server:
        """Start the console of consensus, and wait until it answers."""
        command = [str(ours().program("consensus")), "serve", "--host", "127.0.0.1", "--port", str(port)]
        own = self._stored() | {
            "CONSENSUS_API_TOKEN": secrets.token_urlsafe(32),
            "CONSENSUS_ML_BACKEND_URL": self.backend_url(backend_port),
        }
        server = Server("The console", command, self._environment() | own, self.folder / "console.log")
        server.wait_for_answer(f"http://127.0.0.1:{port}/sign-in", START_SECONDS)
        return server

    def consensus(self, *arguments: str | int | Path, json: str = "--json") -> Any:  # noqa: ANN401 - any JSON
        """Run a command of consensus and return what it prints as JSON; `json` is the option that asks for it."""
        command = [str(ours().program("consensus")), *map(str, arguments), json]
        shown = f"`consensus {arguments[0]}`"
        try:
            done = subprocess.run(
                command,
                env=self._environment() | self._stored(),
                cwd=self.folder,  # not the repository, whose .env speaks of another Label Studio
                capture_output=True,
                text=True,
                timeout=CONSENSUS_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DemoError(f"{shown} took more than {CONSENSUS_SECONDS:.0f} s.") from None
        if done.returncode != 0:
            last_lines = (done.stderr or done.stdout).strip().splitlines()[-5:]
            raise DemoError(f"{shown} ended with status {done.returncode}:\n" + "\n".join(last_lines))
        return loads(done.stdout)

    def _stored(self) -> dict[str, str]:
        """Where consensus keeps what it knows."""
        return {
            "CONSENSUS_DATABASE_URL": f"sqlite:///{self.folder / 'consensus.db'}",
            "CONSENSUS_CACHE_DIR": str(self.folder / "cache"),
            "XDG_DATA_HOME": str(self.folder / "data"),
        }

    def _environment(self) -> dict[str, str]:
        outside = {key: value for key, value in os.environ.items() if not key.startswith(OTHERS)}
        return outside | {
            "LABEL_STUDIO_URL": self.url,
            "LABEL_STUDIO_API_KEY": self.token,
            "TMPDIR": str(self.folder),
            "NO_PROXY": "127.0.0.1,localhost",
        }

"""Ctrl-C as a person presses it, in both programs."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Where the tests run in the background, SIGINT is ignored from the beginning.
AS_ON_A_TERMINAL = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"


@pytest.mark.parametrize(
    ("program", "arguments", "sentence"),
    [
        ("consensus", ["run", "--project", "7"], "what was sent stays; the same command sends what is missing"),
        ("consensus", ["import", str(ROOT / "docs"), "--project", "7"], "what was sent stays; the same command"),
        ("ml_backend", ["train", "--project", "7"], "what was stored stays; the same command goes on from there"),
    ],
)
def test_ctrl_c_ends_with_what_happens_next(
    tmp_path: Path, program: str, arguments: list[str], sentence: str
) -> None:
    """Interrupted while Label Studio is asked, a command ends with 130 and a sentence, without a traceback."""
    run = f"{AS_ON_A_TERMINAL}from {program}.cli import main; main()"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "LABEL_STUDIO_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "LABEL_STUDIO_API_KEY": "token",
            "XDG_DATA_HOME": str(tmp_path),
            "XDG_CACHE_HOME": str(tmp_path),
        }
        command = [sys.executable, "-c", run, *arguments]
        with subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as asking:
            try:
                silent.settimeout(60)
                connection, _ = silent.accept()
                with connection:
                    asking.send_signal(signal.SIGINT)
                    output, _ = asking.communicate(timeout=60)
            finally:
                asking.kill()
    assert asking.returncode == 130
    assert f"interrupted: {sentence}" in output
    assert "Traceback" not in output

import subprocess
import sys

import pytest

STOPPED = """
import atexit, sys
from types import SimpleNamespace
from ml_backend.serving.serve import _stop

class Backend:
    def stop(self):
        if sys.argv[2] == "fails":
            raise RuntimeError("cannot join thread before it is started")

atexit.register(print, "the interpreter has ended")
try:
    sys.exit(int(sys.argv[1]))
finally:
    _stop(None, SimpleNamespace(wsgi=SimpleNamespace(extensions={"ml_backend": Backend()})))
"""


@pytest.mark.parametrize(("code", "stop"), [(0, "succeeds"), (0, "fails"), (1, "succeeds")])
def test_a_worker_ends_without_the_interpreters_end(code: int, stop: str) -> None:
    """Threads inside ONNX Runtime would crash it there, also where it is stopped half started or for a fault."""
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(code), stop], capture_output=True, timeout=60, check=False, text=True
    )
    assert (done.returncode, "the interpreter has ended" in done.stdout) == (code, False)

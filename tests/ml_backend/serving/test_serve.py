import re
import subprocess
import sys
from pathlib import Path

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


def test_in_compose_label_studio_meets_the_proxy() -> None:
    """The address that connections and webhooks get is the proxy's, which is given a file that is there."""
    root = Path(__file__).parents[3]
    compose = (root / "docker-compose.yml").read_text(encoding="utf-8")
    services = dict(re.findall(r"^  ([\w-]+):\n((?:    .*\n|\n|  #.*\n)+)", compose, re.MULTILINE))
    address = re.search(r"ML_BACKEND_PUBLIC_URL: http://([\w.-]+):9090$", services["ml-backend"], re.MULTILINE)
    assert address is not None
    assert f"- {address[1]}\n" in services["ml-backend-proxy"]
    assert f"- {address[1]}\n" not in services["ml-backend"]
    mounted = re.search(r"- \./(\S+):/etc/nginx/conf\.d/default\.conf:ro", services["ml-backend-proxy"])
    assert mounted is not None
    assert (root / mounted[1]).is_file()

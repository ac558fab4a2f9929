"""The process that works on foreign bytes for another one: it may be killed at any time, and holds no secret.

It reads a request, does the work under a limit of time and memory, answers, and ends with the process that asks.
"""

import json
import pickle
import resource
import signal
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from common.errors import ImageRejectedError

LENGTHS = struct.Struct("!IQ")
"""Of the pickled work and the content; in an answer, of the head in JSON and the array."""


def main(cpu_s: float, memory_bytes: int) -> None:
    """Serve the socket that standard input is, until its other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the other process decides
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # where memory runs out, this process is to go first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    channel = socket.socket(fileno=0)
    while lengths := channel.recv(LENGTHS.size, socket.MSG_WAITALL):
        work, content = (channel.recv(length, socket.MSG_WAITALL) for length in LENGTHS.unpack(lengths))
        do = _loaded(work)  # which imports what it needs, the first time
        signal.setitimer(signal.ITIMER_PROF, cpu_s)  # of processor time; its signal ends the process at once
        head, array = _answer(do, content)
        signal.setitimer(signal.ITIMER_PROF, 0)
        del content
        encoded = json.dumps(head).encode()
        channel.sendall(LENGTHS.pack(len(encoded), len(array)) + encoded)
        channel.sendall(array)


@lru_cache(maxsize=16)
def _loaded(work: bytes) -> Callable[[bytes], Any]:
    loaded: Callable[[bytes], Any] = pickle.loads(work)  # noqa: S301 - from the process that started this one
    return loaded


def _answer(do: Callable[[bytes], Any], content: bytes) -> tuple[dict[str, Any], memoryview]:
    """Return the head of the answer, and the bytes of an array; none where the result is something else."""
    nothing = memoryview(b"")
    try:
        result = do(content)
        if not hasattr(result, "__array_interface__"):
            return {"value": result}, nothing
        flat = result.ravel()  # contiguous
        return {"dtype": flat.dtype.str, "shape": result.shape}, memoryview(flat).cast("B")
    except ImageRejectedError as error:
        return {"reason": error.reason, "detail": error.detail}, nothing
    except MemoryError:
        return {"reason": "too_much_memory", "detail": ""}, nothing
    except Exception as error:  # noqa: BLE001 - this image's fault, whatever it is
        return {"reason": f"unexpected_{type(error).__name__}", "detail": ""}, nothing

"""Processes that can be killed, for work on foreign bytes: a decoder may take minutes or gigabytes, or crash."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from common.errors import ImageRejectedError
from common.images.worker_process import LENGTHS

Work = Callable[[bytes], Any]

_ROOT = Path(__file__).resolve().parents[2]
_START = "import sys; sys.path[:] = sys.argv[3:]; from common.images.worker_process import main; "
_START += "main(float(sys.argv[1]), int(sys.argv[2]))"
_ENVIRONMENT = {  # and none of the settings, which hold keys
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Memory of one image is kept for the next: to give it back each time costs a fifth of all time.
    "MALLOC_TRIM_THRESHOLD_": str(2**26),
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
}
_INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "TZ")
_STALLED_S, _STALLED = 30.0, 20  # by the clock, and as much more for each second of the limit: others compute too
_SLOW_S, _SLOW_PRIORITY = 1.0, 10
_IDLE_S = 60.0
_LONGEST_HEAD = 100_000
_FOREIGN_ENDS = (-signal.SIGKILL, -signal.SIGTERM)  # somebody else's doing: the content may be sound


class Workers:
    """A few processes, started when they are needed, that each do one work at a time.

    Parameters
    ----------
    count : int
        Works at a time of one owner, and as many more where those have lasted for a second. Another owner finds
        one more place, so that nobody keeps all others waiting.
    cpu_s : float
        Processor time after which a work is ended, with its process.
    memory_bytes : int
        That a process may have besides its code.
    """

    def __init__(self, count: int, *, cpu_s: float, memory_bytes: int) -> None:
        self._count, self._cpu_s, self._memory_bytes = count, cpu_s, memory_bytes
        self._changed = threading.Condition()
        self._busy: dict[object, tuple[Hashable, float]] = {}  # owner and beginning of each work
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._closed = False

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def run(self, work: Work, content: bytes, owner: Hashable = None) -> Any:  # noqa: ANN401 - what the work returns
        """Do a work in one of the processes.

        Parameters
        ----------
        work : callable
            Of a module that is quickly imported, picklable; returns an array or what JSON can hold.

        Raises
        ------
        ImageRejectedError
            As the work; with reason ``too_slow``, ``too_much_memory`` or ``decoder_crashed``; and with
            ``decoder_lost``, ``decoder_stalled`` or ``stopping``, which say nothing of the content.
        """
        packed = pickle.dumps(work)
        with self._place(owner):
            try:
                return self._try(packed, content)
            except ImageRejectedError as error:
                if error.reason != "decoder_lost":
                    raise
            return self._try(packed, content)

    def close(self) -> None:
        """End the processes, also those at work."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            for worker in self._all.difference(idle):
                worker.kill()  # whose thread does the rest
            self._all.clear()
            self._changed.notify_all()
        for worker in idle:
            worker.end()

    @contextmanager
    def _place(self, owner: Hashable) -> Iterator[None]:
        work = object()
        with self._changed:
            while not (self._closed or self._is_free(owner)):
                self._changed.wait(_SLOW_S / 4)
            self._busy[work] = owner, time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                del self._busy[work]
                self._changed.notify_all()

    def _is_free(self, owner: Hashable) -> bool:
        """Return whether an owner may begin one more work: slow ones do not keep its quick ones waiting."""
        since = time.monotonic() - _SLOW_S
        begun = [began for each, began in self._busy.values() if each == owner]
        quick = sum(began > since for began in begun)
        return len(self._busy) <= 2 * self._count and quick < self._count and len(begun) < 2 * self._count

    def _try(self, packed: bytes, content: bytes) -> Any:  # noqa: ANN401
        worker = self._taken()
        try:
            head, result = worker.ask(packed, content)
        except TimeoutError:
            self._ended(worker)
            raise ImageRejectedError("decoder_stalled", lasting=False) from None
        except (OSError, ValueError, TypeError, KeyError):  # also an answer that is none of ours
            raise self._ended(worker) from None
        self._put_back(worker)
        if "reason" in head:
            raise ImageRejectedError(str(head["reason"]), str(head["detail"]))
        return result

    def _taken(self) -> "_Worker":
        with self._changed:
            if self._closed:
                raise ImageRejectedError("stopping", lasting=False)
            if self._idle:
                return self._idle.pop()
        try:
            worker = _Worker(self._cpu_s, self._memory_bytes)
        except OSError as error:  # no memory, or no more processes or files: in a moment there may be
            raise ImageRejectedError("decoder_lost", type(error).__name__, lasting=False) from None
        with self._changed:
            self._all.add(worker)
        return worker

    def _put_back(self, worker: "_Worker") -> None:
        """Keep a process for the next work, and end those that none has needed for a while."""
        now = worker.idle_since = time.monotonic()
        with self._changed:
            too_many = [idle for idle in self._idle if now - idle.idle_since > _IDLE_S]
            self._idle = [idle for idle in self._idle if idle not in too_many]
            if self._closed or worker.is_slow:
                too_many.append(worker)
            else:
                self._idle.append(worker)
            self._all.difference_update(too_many)
        for ended in too_many:
            ended.end()

    def _ended(self, worker: "_Worker") -> ImageRejectedError:
        """Return why a process gave no answer."""
        status = worker.end()
        with self._changed:
            self._all.discard(worker)
            if self._closed:
                return ImageRejectedError("stopping", lasting=False)
        if status == -signal.SIGPROF:
            return ImageRejectedError("too_slow", f"more than {self._cpu_s:g} s of processor time")
        if status >= 0 or status in _FOREIGN_ENDS:
            return ImageRejectedError("decoder_lost", lasting=False)
        return ImageRejectedError("decoder_crashed", f"signal {-status}")


class _Worker:
    """One process, and the socket to it."""

    def __init__(self, cpu_s: float, memory_bytes: int) -> None:
        self._stalled_s, self._longest = _STALLED_S + _STALLED * cpu_s, memory_bytes
        self.idle_since, self.is_slow = 0.0, False
        paths = dict.fromkeys([str(_ROOT), *(str(Path(path).absolute()) for path in sys.path if path)])
        flags = ["-I", "-S", *(["-B"] if sys.flags.dont_write_bytecode else [])]
        self._channel, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    [sys.executable, *flags, "-c", _START, str(cpu_s), str(memory_bytes), *paths],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env={name: os.environ[name] for name in _INHERITED if name in os.environ} | _ENVIRONMENT,
                )
        except OSError:
            self._channel.close()
            raise

    def ask(self, packed: bytes, content: bytes) -> tuple[dict[str, Any], Any]:
        """Send a work, and return the head of the answer and the result.

        Raises
        ------
        OSError
            If the process ends meanwhile, is silent for too long, or answers anything else.
        """
        ends_at = time.monotonic() + self._stalled_s
        self._channel.settimeout(self._stalled_s)
        self._channel.sendall(LENGTHS.pack(len(packed), len(content)) + packed)
        self._channel.sendall(content)
        self._await(ends_at)
        head_length, array_length = LENGTHS.unpack(self._receive(LENGTHS.size, ends_at))
        if head_length > _LONGEST_HEAD or array_length > self._longest:
            raise OSError("no answer of ours")
        head = json.loads(self._receive(head_length, ends_at))
        array = self._receive(array_length, ends_at)
        if "dtype" not in head:
            return head, head.get("value")
        import numpy as np  # noqa: PLC0415 - slow, and who wants no array needs none

        return head, np.frombuffer(array, dtype=head["dtype"]).reshape(head["shape"])

    def _await(self, ends_at: float) -> None:
        """Wait for an answer; what takes long leaves the processors to others."""
        self._channel.settimeout(_SLOW_S)
        before_s = None
        while True:
            try:
                self._channel.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                if time.monotonic() > ends_at:
                    raise
                before_s = self._processor_s() if before_s is None else before_s
                if not self.is_slow and self._processor_s() - before_s > _SLOW_S:
                    self.is_slow = True  # for ever: only a superuser may be quicker again
                    os.setpriority(os.PRIO_PROCESS, self._process.pid, _SLOW_PRIORITY)
            else:
                return

    def _processor_s(self) -> float:
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        ticks = stat.rpartition(")")[2].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()

    def end(self) -> int:
        """End the process and what belongs to it, and return its exit status."""
        self.kill()
        status: int = self._process.wait()
        self._channel.close()
        return status

    def _receive(self, length: int, ends_at: float) -> bytearray:
        received = bytearray(length)
        left = memoryview(received)
        while left:
            self._channel.settimeout(max(ends_at - time.monotonic(), 0.001))
            n_bytes = self._channel.recv_into(left)
            if not n_bytes:
                raise OSError("the process has ended")
            left = left[n_bytes:]
        return received

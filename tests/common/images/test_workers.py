import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from common.errors import ImageRejectedError
from common.images.workers import Work, Workers

LIMIT_S = 60


def measured(content: bytes) -> list[int]:
    """The length of a content and the process that measured it."""
    return [len(content), os.getpid()]


def as_array(content: bytes) -> NDArray[np.float32]:
    """Its bytes in two columns."""
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, 2).astype("<f4")


def settings_seen(_content: bytes) -> list[str]:
    """The names in the environment."""
    return sorted(os.environ)


def turning(_content: bytes) -> None:
    """Never end."""
    while True:
        pass


def hoarding(_content: bytes) -> int:
    """Take two gigabytes."""
    return len(bytearray(2_000_000_000))


def crashing(_content: bytes) -> None:
    """Read what no process may."""
    ctypes.string_at(0)


def ended_from_outside(content: bytes) -> int:
    """End as if someone had stopped this process, unless a file says that this was done before."""
    path = Path(content.decode())
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGTERM)
    return 1


def waiting_for(path: str, content: bytes) -> int:
    """Wait for a file."""
    while not Path(path).exists():
        time.sleep(0.01)
    return len(content)


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Two processes with little time and memory."""
    with Workers(2, cpu_s=0.5, memory_bytes=1_000_000_000) as made:
        yield made


def refusal(workers: Workers, work: Work, content: bytes = b"") -> tuple[str, bool]:
    """The reason of a work that fails, and whether it would fail again."""
    with pytest.raises(ImageRejectedError) as refused:
        workers.run(work, content)
    return refused.value.reason, refused.value.lasting


def test_a_work_is_done_in_another_process_that_is_used_again(workers: Workers) -> None:
    """Large contents and arrays come through whole."""
    n_bytes, process = workers.run(measured, b"x" * 3_000_000)
    assert n_bytes == 3_000_000
    assert process != os.getpid()
    assert workers.run(measured, b"") == [0, process]
    content = os.urandom(2_000_000)
    assert np.array_equal(workers.run(as_array, content), as_array(content))


def test_no_setting_reaches_the_process(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes it over through a decoder finds no key."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "secret")
    assert "LABEL_STUDIO_API_KEY" not in workers.run(settings_seen, b"")


@pytest.mark.parametrize(
    ("work", "reason"),
    [(turning, "too_slow"), (hoarding, "too_much_memory"), (crashing, "decoder_crashed")],
)
def test_a_work_without_end_has_a_reason_and_the_next_is_done(workers: Workers, work: Work, reason: str) -> None:
    """Time, memory and faults of a decoder end with its process."""
    assert refusal(workers, work) == (reason, True)
    assert workers.run(measured, b"abc")[0] == 3


def test_a_process_that_somebody_ends_costs_no_image(workers: Workers, tmp_path: Path) -> None:
    """The work is done again in another one."""
    assert workers.run(ended_from_outside, str(tmp_path / "done").encode()) == 1


def test_where_no_process_can_be_started_nothing_is_said_of_the_image(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a container may have no more; nothing is left open, and the next one is done."""
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", partial(_refuse, BlockingIOError(11, "no more processes")))
        before = len(list(Path("/proc/self/fd").iterdir()))
        assert refusal(workers, measured) == ("decoder_lost", False)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert workers.run(measured, b"abc")[0] == 3


def _refuse(error: OSError, *_: object, **__: object) -> None:
    raise error


def test_one_owner_leaves_a_place_to_another(workers: Workers, tmp_path: Path) -> None:
    """Works without end of one owner, of which some wait, keep no other owner waiting."""
    work = partial(waiting_for, str(tmp_path / "go"))
    threads = [threading.Thread(target=workers.run, args=(work, b"", "one"), daemon=True) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert workers.run(measured, b"abc", "another")[0] == 3
    (tmp_path / "go").touch()
    for thread in threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def test_slow_works_keep_no_quick_one_of_their_owner_waiting(workers: Workers, tmp_path: Path) -> None:
    """Two works without end of one owner, and a third of it that is done before them."""
    work = partial(waiting_for, str(tmp_path / "go"))
    threads = [threading.Thread(target=workers.run, args=(work, b"", "one"), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(workers._busy) < 2:
        time.sleep(0.001)
    assert workers.run(measured, b"abc", "one")[0] == 3
    (tmp_path / "go").touch()
    for thread in threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def test_the_end_leaves_no_process(tmp_path: Path) -> None:
    """Also one at work is ended and waited for, and who asks afterwards is refused."""
    workers = Workers(2, cpu_s=LIMIT_S, memory_bytes=1_000_000_000)
    _, idle = workers.run(measured, b"")
    reasons: list[tuple[str, bool]] = []
    work = partial(waiting_for, str(tmp_path / "never"))
    thread = threading.Thread(target=lambda: reasons.append(refusal(workers, work)), daemon=True)
    thread.start()
    while Path(f"/proc/{idle}/wchan").exists() and not workers._busy:
        time.sleep(0.001)
    workers.close()
    thread.join(LIMIT_S)
    assert reasons == [("stopping", False)]
    assert not Path(f"/proc/{idle}").exists()
    assert refusal(workers, measured) == ("stopping", False)


ORPHAN = """
import os, sys
from common.images.workers import Work, Workers
from test_workers import measured
print(Workers(1, cpu_s=60, memory_bytes=10**9).run(measured, b"")[1], flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_process_ends_with_the_program_that_started_it() -> None:
    """Even if that was killed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    shown = subprocess.run([sys.executable, "-c", ORPHAN], env=environment, capture_output=True, check=False)
    assert shown.stdout, shown.stderr
    gone, ends_at = Path(f"/proc/{int(shown.stdout)}"), time.monotonic() + LIMIT_S
    while gone.exists() and "Z" not in (gone / "stat").read_text().split()[2]:
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def priority_once_slow(_content: bytes) -> int:
    """Compute until this process has a lower priority, or the limit ends it."""
    while not (priority := os.getpriority(os.PRIO_PROCESS, 0)):
        pass
    return priority


def test_a_slow_work_leaves_the_processors_to_others() -> None:
    """It gets a lower priority, and its process is not used again."""
    with Workers(1, cpu_s=LIMIT_S, memory_bytes=1_000_000_000) as workers:
        _, process = workers.run(measured, b"")
        assert workers.run(priority_once_slow, b"") > 0
        assert workers.run(measured, b"")[1] != process

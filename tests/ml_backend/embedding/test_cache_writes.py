import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml_backend.embedding import cache as module
from ml_backend.embedding.cache import Address, Embedded, EmbeddingCache

LIMIT_S = 60

if TYPE_CHECKING:
    from conftest import Clock

DAY_S = 86_400
FOREVER = float("inf")


@pytest.fixture
def cache(tmp_path: Path, clock: "Clock") -> Iterator[EmbeddingCache]:
    """An empty cache."""
    made = EmbeddingCache(tmp_path / "embeddings.sqlite", clock)
    yield made
    made.close()


def vector(value: float) -> np.ndarray:
    """An embedding."""
    return np.array([value], dtype=np.float32)


def test_what_is_kept_is_there_when_it_says_so(cache: EmbeddingCache) -> None:
    """Whoever is told that something was kept finds it."""
    written = threading.Event()
    cache.keep(Embedded("k", "aa", vector(3)))
    cache.keep(Address(7, "http://x/a.png", "aa", FOREVER), written.set)
    assert written.wait(LIMIT_S)
    assert {
        url: embedding.tolist() for url, embedding in cache.vectors_at(7, ["http://x/a.png"], "k").items()
    } == {"http://x/a.png": [3]}
    cache.close(LIMIT_S)


def test_the_end_writes_what_is_left(cache: EmbeddingCache) -> None:
    """Nothing that was accepted is lost when the backend stops; what comes later is refused, and says so."""
    for number in range(1000):
        cache.keep(Embedded("k", str(number), vector(number)))
    cache.close(LIMIT_S)
    assert [cache.get(str(number), "k").tolist() for number in range(1000)] == [[n] for n in range(1000)]
    refused = threading.Event()
    cache.keep(Embedded("k", "late", vector(1)), refused.set)
    assert refused.is_set()
    assert cache.get("late", "k") is None


def test_a_slow_disk_fills_no_memory(cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a number of rows that wait, more are not kept, and whoever waits for them is told at once."""
    go, begun = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        begun.set()
        go.wait(LIMIT_S)

    monkeypatch.setattr(cache, "write", slow)
    monkeypatch.setattr(module, "_WAITING", 2)
    refused = threading.Event()
    cache.keep(Embedded("k", "0", vector(0)))
    assert begun.wait(LIMIT_S)
    cache.keep(Embedded("k", "1", vector(1)))
    cache.keep(Embedded("k", "2", vector(2)))
    assert not refused.is_set()
    cache.keep(Embedded("k", "3", vector(3)), refused.set)
    assert refused.is_set()
    go.set()
    cache.close(LIMIT_S)


def test_a_failed_write_ends_nothing(cache: EmbeddingCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even after an error that nobody thought of, those who wait are told and the next rows are written."""
    write, written = cache.write, [threading.Event(), threading.Event()]

    def fails(*_: object) -> None:
        monkeypatch.setattr(cache, "write", write)
        raise ZeroDivisionError

    monkeypatch.setattr(cache, "write", fails)
    cache.keep(Embedded("k", "aa", vector(1)), written[0].set)
    assert written[0].wait(LIMIT_S)
    cache.keep(Embedded("k", "bb", vector(2)), written[1].set)
    assert written[1].wait(LIMIT_S)
    assert (cache.get("aa", "k"), cache.get("bb", "k").tolist()) == (None, [2])
    cache.close(LIMIT_S)


def test_the_first_write_tidies(cache: EmbeddingCache, clock: "Clock", tmp_path: Path) -> None:
    """What no version needs any more has gone once something new has been kept."""
    cache.put("old", {"aa": vector(1)})
    cache.close()
    clock.now += 3 * DAY_S
    cache, written = (
        EmbeddingCache(tmp_path / "embeddings.sqlite", clock, in_use=lambda: {"new"}),
        threading.Event(),
    )
    cache.keep(Embedded("new", "bb", vector(2)), written.set)
    assert written.wait(LIMIT_S)
    assert (cache.get("aa", "old"), cache.get("bb", "new").tolist()) == (None, [2])
    cache.close(LIMIT_S)


def test_use_is_noted_without_new_embeddings(cache: EmbeddingCache, clock: "Clock") -> None:
    """What is read for the first time that day is noted on disk although nothing else is written."""
    cache.put("k", {"aa": vector(1)})
    assert cache.get("aa", "k").tolist() == [1]
    assert not cache.noted
    clock.now += DAY_S
    assert cache.get("aa", "k").tolist() == [1]
    assert cache.noted
    cache.note_use()
    ends_at = time.monotonic() + LIMIT_S
    while cache.noted and time.monotonic() < ends_at:
        time.sleep(0.01)
    cache.close(LIMIT_S)
    assert cache.get("aa", "k").tolist() == [1]
    assert not cache.noted

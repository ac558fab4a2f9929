import contextlib
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from structlog.testing import capture_logs

from ml_backend.embedding.cache import Address, EmbeddingCache

if TYPE_CHECKING:
    from conftest import Clock

DAY_S = 86_400
FOREVER = float("inf")

CLOSED_IN_USE = """
import sys, threading
from pathlib import Path
import numpy as np
from ml_backend.embedding.cache import EmbeddingCache

path, over = Path(sys.argv[1]), threading.Event()
caches = [EmbeddingCache(path)]
rows = {str(n): np.zeros(500, dtype=np.float32) for n in range(256)}

def write():
    number = 0
    while not over.is_set():
        caches[-1].put(str(number), rows)
        number += 1

writer = threading.Thread(target=write)
writer.start()
for _ in range(50):
    over.wait(0.01)
    caches.append(EmbeddingCache(path))
    caches[-2].close()
over.set()
writer.join()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in a folder that does not exist."""
    return tmp_path / "new" / "embeddings.sqlite"


@pytest.fixture
def cache(path: Path, clock: "Clock") -> Iterator[EmbeddingCache]:
    """An empty cache."""
    made = EmbeddingCache(path, clock)
    yield made
    made.close()


def vector(*values: float) -> np.ndarray:
    """An embedding."""
    return np.array(values, dtype=np.float32)


def test_an_embedding_comes_back_exactly(cache: EmbeddingCache) -> None:
    """What was put is what is got, bit by bit."""
    stored = vector(1 / 3, -0.0, 1e-30)
    cache.put("resnet18:imagenet", {"aa": stored})
    np.testing.assert_array_equal(cache.get("aa", "resnet18:imagenet"), stored)


def test_an_embedding_belongs_to_its_image_and_embedder(cache: EmbeddingCache) -> None:
    """Another image, or other weights, have no embedding yet."""
    cache.put("resnet18:imagenet", {"aa": vector(1)})
    assert cache.get("bb", "resnet18:imagenet") is None
    assert cache.get("aa", "resnet18:random-0") is None


def test_the_first_embedding_stays(cache: EmbeddingCache) -> None:
    """Two workers that embed the same image at once do not disturb each other."""
    for value in (1, 2):
        cache.put("k", {"aa": vector(value)})
    assert cache.get("aa", "k").tolist() == [1]


def test_addresses_are_looked_up_at_once(cache: EmbeddingCache) -> None:
    """Of 2,000 addresses those come back whose content and embedding are known, whatever letters they have."""
    urls = [f"/data/upload/7/{number}-ä'\"%.png" for number in range(2000)]
    cache.put("k", {str(number): vector(number) for number in range(1500)})
    cache.write([Address(7, url, str(number), FOREVER) for number, url in enumerate(urls) if number >= 1000])
    vectors = cache.vectors_at(7, urls, "k")
    assert {url: embedding.tolist() for url, embedding in vectors.items()} == {
        urls[n]: [n] for n in range(1000, 1500)
    }
    assert cache.vectors_at(7, urls, "other") == {}
    assert cache.vectors_at(7, [], "k") == {}


def test_projects_learn_nothing_from_one_another(cache: EmbeddingCache) -> None:
    """An address that one project has seen is unknown to another."""
    cache.put("k", {"aa": vector(1)})
    cache.write([Address(7, "/data/upload/7/a.png", "aa", FOREVER)])
    assert list(cache.vectors_at(7, ["/data/upload/7/a.png"], "k")) == ["/data/upload/7/a.png"]
    assert cache.vectors_at(8, ["/data/upload/7/a.png"], "k") == {}


def test_an_address_is_trusted_for_a_time(cache: EmbeddingCache, clock: "Clock") -> None:
    """What lay at an address an hour ago may have changed, and what was seen last counts."""
    cache.put("k", {"aa": vector(1), "bb": vector(2)})
    cache.write([Address(7, "http://x/a.png", "aa", clock.now + 3600)])
    clock.now += 3599
    assert cache.vectors_at(7, ["http://x/a.png"], "k")["http://x/a.png"].tolist() == [1]
    clock.now += 1
    assert cache.vectors_at(7, ["http://x/a.png"], "k") == {}
    cache.write([Address(7, "http://x/a.png", "bb", clock.now + 3600)])
    assert cache.vectors_at(7, ["http://x/a.png"], "k")["http://x/a.png"].tolist() == [2]


def test_what_is_used_outlives_what_is_not(cache: EmbeddingCache, clock: "Clock", path: Path) -> None:
    """A file that is too large loses what was asked for longest ago, with its addresses, and becomes smaller."""
    large = np.zeros(1000, dtype=np.float32)
    cache.put("k", {str(number): large for number in range(1000)})
    cache.write([Address(7, str(number), str(number), FOREVER) for number in range(1000)])
    clock.now += DAY_S
    cache.vectors_at(7, [str(number) for number in range(900, 1000)], "k")
    cache.put("k", {"new": large})
    cache.close()
    before = path.stat().st_size
    assert cache.tidy(2_500_000) == 500
    left = cache.vectors_at(7, [str(number) for number in range(1000)], "k")
    assert set(left) == {str(number) for number in range(500, 1000)}
    assert path.stat().st_size < 2_500_000 < before


def test_a_small_file_keeps_everything(cache: EmbeddingCache) -> None:
    """Below the allowed size nothing is deleted."""
    cache.put("k", {"aa": vector(1)})
    assert cache.tidy(10**9) == 0
    assert cache.get("aa", "k").tolist() == [1]


def test_embeddings_of_other_embedders_go(cache: EmbeddingCache, clock: "Clock") -> None:
    """What no version needs goes, unless it was written today or yesterday by a training that has not ended."""
    cache.put("old", {"aa": vector(1)})
    clock.now += 2 * DAY_S
    cache.put("new", {"aa": vector(2)})
    cache.put("current", {"aa": vector(3)})
    assert cache.tidy(10**9, {"current"}) == 1
    assert [cache.get("aa", key) is None for key in ("old", "new", "current")] == [True, False, False]


def test_addresses_that_must_be_fetched_again_go(cache: EmbeddingCache, clock: "Clock", path: Path) -> None:
    """Addresses with a new signature every day do not fill the file."""
    cache.put("k", {"aa": vector(1)})
    for number in range(3):
        cache.write([Address(7, f"http://x/a.png?signature={number}", "aa", clock.now + 3600)])
        clock.now += DAY_S
    cache.write([Address(7, "/data/upload/7/a.png", "aa", FOREVER)])
    cache.tidy(10**9)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT url FROM address").fetchall() == [("/data/upload/7/a.png",)]


def test_threads_share_the_cache(cache: EmbeddingCache) -> None:
    """Eight threads write 200 embeddings, and none is lost."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: cache.put("k", {str(n): vector(n)}), range(200)))
    assert [cache.get(str(n), "k").tolist() for n in range(200)] == [[n] for n in range(200)]


def test_threads_that_end_leave_no_connection(cache: EmbeddingCache, path: Path) -> None:
    """A server that answers each request in a thread of its own does not run out of files."""

    def files() -> int:
        return sum(os.path.realpath(file) == str(path) for file in Path("/proc/self/fd").iterdir())

    before = files()
    for n in range(5):
        thread = threading.Thread(target=cache.put, args=("k", {str(n): vector(n)}))
        thread.start()
        thread.join()
    assert (before, files()) == (1, 1)


def test_a_connection_that_is_used_is_not_closed(path: Path) -> None:
    """A backend that is stopped while a thread still writes ends as usual: SQLite would crash the process."""
    done = subprocess.run(
        [sys.executable, "-c", CLOSED_IN_USE, str(path)], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_file_that_cannot_be_used_holds_nothing(tmp_path: Path) -> None:
    """What is no file is neither read nor written, and the log says so once."""
    path = tmp_path / "embeddings.sqlite"
    path.mkdir()
    with capture_logs() as lines:
        cache = EmbeddingCache(path)
        cache.put("k", {"aa": vector(1, 2)})
        cache.write([Address(7, "/data/upload/1/a.png", "aa", FOREVER)])
        assert cache.get("aa", "k") is None
        assert cache.vectors_at(7, ["/data/upload/1/a.png"], "k") == {}
        assert cache.tidy(0) == 0
        cache.close()
    assert [line["event"] for line in lines] == ["embedding_cache_unusable"]


@pytest.mark.parametrize("damage", ["no database", "pages"])
def test_a_damaged_file_is_renewed(tmp_path: Path, damage: str) -> None:
    """It is moved aside, once, and said; whoever has it open uses the new one, and what is written is there."""
    path = tmp_path / "embeddings.sqlite"
    first = EmbeddingCache(path)
    first.put("k", {f"{number}": vector(*range(512)) for number in range(500)})
    first.close()
    body = path.read_bytes()
    path.write_bytes(
        b"no database" * 100 if damage == "no database" else body[:4096] + b"\x99" * (len(body) - 4096)
    )
    with capture_logs() as lines:
        caches = EmbeddingCache(path), EmbeddingCache(path)
        for name, cache in zip("ab", caches, strict=True):
            cache.put("k", {name: vector(1, 2)})
        assert all(cache.get(name, "k").tolist() == [1, 2] for cache in caches for name in "ab")
        for cache in caches:
            cache.close()
    assert [line["event"] for line in lines] == ["embedding_cache_renewed"]
    assert (tmp_path / "embeddings.sqlite.damaged").exists()


def test_who_meets_the_damage_late_leaves_the_new_file_alone(tmp_path: Path) -> None:
    """Two threads are in the damaged file at once: what the first renews, the second does not move aside again."""
    path = tmp_path / "embeddings.sqlite"
    first = EmbeddingCache(path)
    first.put("k", {f"{number}": vector(*range(512)) for number in range(500)})
    first.close()
    body = path.read_bytes()
    cache = EmbeddingCache(path)
    path.write_bytes(body[:4096] + b"\x99" * (len(body) - 4096))

    def read_late(database: sqlite3.Connection) -> list[object]:
        cache.put("k", {"a": vector(1, 2)})
        return database.execute("SELECT * FROM image").fetchall()

    with capture_logs() as lines:
        cache._tried(read_late, [])
        assert cache.get("a", "k").tolist() == [1, 2]
    cache.close()
    assert [line["event"] for line in lines] == ["embedding_cache_renewed"]


def test_a_file_of_an_older_layout_starts_anew(tmp_path: Path) -> None:
    """A cache from before addresses were kept by project is emptied: what it holds can be computed again."""
    path = tmp_path / "embeddings.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE embedding (content, embedder, vector); CREATE TABLE upload (url, content);"
            "INSERT INTO embedding VALUES ('aa', 'k', x'0000803f')"
        )
    cache = EmbeddingCache(path)
    assert cache.get("aa", "k") is None
    cache.put("k", {"aa": vector(2)})
    assert cache.get("aa", "k").tolist() == [2]
    cache.close()


def write(path: Path, start: int) -> None:
    """Write 50 embeddings, from a process of its own."""
    cache = EmbeddingCache(path)
    for n in range(start, start + 50):
        cache.put("k", {str(n): vector(n)})
    cache.close()


def test_processes_share_the_cache(tmp_path: Path) -> None:
    """Two workers write 100 embeddings at once, and none is lost."""
    path = tmp_path / "embeddings.sqlite"
    context = multiprocessing.get_context("forkserver")
    writers = [context.Process(target=write, args=(path, start)) for start in (0, 50)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    cache = EmbeddingCache(path)
    assert sum(cache.get(str(n), "k") is not None for n in range(100)) == 100
    cache.close()

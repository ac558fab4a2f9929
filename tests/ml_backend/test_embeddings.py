import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from ml_backend.embeddings import EmbeddingCache


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[EmbeddingCache]:
    """An empty cache."""
    made = EmbeddingCache(tmp_path / "new" / "embeddings.sqlite")
    yield made
    made.close()


def test_an_embedding_comes_back_exactly(cache: EmbeddingCache) -> None:
    """What was put is what is got, bit by bit."""
    vector = np.array([1 / 3, -0.0, 1e-30], dtype=np.float32)
    cache.put("resnet18:imagenet", {"aa": vector})
    np.testing.assert_array_equal(cache.get("aa", "resnet18:imagenet"), vector)


def test_an_embedding_belongs_to_its_image_and_embedder(cache: EmbeddingCache) -> None:
    """Another image, or other weights, have no embedding yet."""
    cache.put("resnet18:imagenet", {"aa": np.ones(2, dtype=np.float32)})
    assert cache.get("bb", "resnet18:imagenet") is None
    assert cache.get("aa", "resnet18:random-0") is None


def test_the_first_embedding_stays(cache: EmbeddingCache) -> None:
    """Two workers that embed the same image at once do not disturb each other."""
    for value in (1, 2):
        cache.put("k", {"aa": np.array([value], dtype=np.float32)})
    assert cache.get("aa", "k").tolist() == [1]


def test_uploads_are_remembered(cache: EmbeddingCache) -> None:
    """The content of an uploaded file is known by its address."""
    cache.remember_upload("/data/upload/1/a.png", "aa")
    assert cache.content_of_upload("/data/upload/1/a.png") == "aa"
    assert cache.content_of_upload("/data/upload/1/b.png") is None


def test_threads_share_the_cache(cache: EmbeddingCache) -> None:
    """Eight threads write 200 embeddings, and none is lost."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: cache.put("k", {str(n): np.array([n], dtype=np.float32)}), range(200)))
    assert [cache.get(str(n), "k").tolist() for n in range(200)] == [[n] for n in range(200)]


def test_a_damaged_file_holds_nothing(tmp_path: Path) -> None:
    """What is no database is neither read nor written, and the log says so once."""
    path = tmp_path / "embeddings.sqlite"
    path.write_bytes(b"no database" * 100)
    with capture_logs() as lines:
        cache = EmbeddingCache(path)
        cache.put("k", {"aa": np.ones(2, dtype=np.float32)})
        cache.remember_upload("/data/upload/1/a.png", "aa")
        assert cache.get("aa", "k") is None
        assert cache.content_of_upload("/data/upload/1/a.png") is None
        cache.close()
    assert [line["event"] for line in lines] == ["embedding_cache_unusable"]


def write(path: Path, start: int) -> None:
    """Write 50 embeddings, from a process of its own."""
    cache = EmbeddingCache(path)
    for n in range(start, start + 50):
        cache.put("k", {str(n): np.array([n], dtype=np.float32)})
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

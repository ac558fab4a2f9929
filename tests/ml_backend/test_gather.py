import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from ml_backend.core.images import ImageLimits
from ml_backend.embeddings import EmbeddingCache
from ml_backend.errors import ModelLoadingError
from ml_backend.fetch import Connect, Fetcher
from ml_backend.gather import Gatherer, ImageRef

if TYPE_CHECKING:
    from conftest import Samples, Web

KEY = "mean-colour"


class MeanColour:
    """An embedder whose embedding is the mean colour, quick and checkable by hand. Counts what it embeds."""

    def __init__(self, seconds: float = 0) -> None:
        self.embedded = 0
        self.seconds = seconds

    def prepare(self, image: Image.Image) -> np.ndarray:
        """The mean colour of an image, (3,)."""
        time.sleep(self.seconds)
        return np.asarray(image).mean(axis=(0, 1)).astype(np.float32)

    def embed(self, prepared: list[np.ndarray]) -> np.ndarray:
        """The means as they are."""
        self.embedded += len(prepared)
        return np.stack(prepared)


@pytest.fixture
def gatherer(connections: Connect, tmp_path: Path) -> Iterator[Gatherer]:
    """A gatherer with an empty cache."""
    cache = EmbeddingCache(tmp_path / "embeddings.sqlite")
    fetcher = Fetcher(
        base_url="http://ls.example", authorization=str, max_bytes=10_000, timeout_s=5, connect=connections
    )
    made = Gatherer(fetcher=fetcher, cache=cache, limits=ImageLimits(max_pixels=1000), chunk=4)
    yield made
    made.close()
    cache.close()


def gather(gatherer: Gatherer, urls: list[object], embedder: object, **options: float) -> tuple[list, dict]:
    """The red of each image, and the reasons of those without one, by position."""
    refs = [ImageRef(number, "image", url) for number, url in enumerate(urls)]
    found = gatherer.gather(refs, embedding_key=KEY, embedder=lambda: embedder, **options)
    assert set(found.vectors) | set(found.failures) == set(refs)
    red = [float(found.vectors[ref][0]) if ref in found.vectors else None for ref in refs]
    return red, {ref.task_id: reason for ref, reason in found.failures.items()}


def test_faults_stay_with_their_task(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """Of seven images in two chunks five are faulty, each in its way, and the other two are embedded."""
    web.pages |= {
        "/red.png": samples.png("red"),
        "/text.png": b"hello",
        "/half.png": samples.png("red")[:50],
        "/huge.png": samples.png("red", (40, 40)),
        "/black.png": samples.png("black"),
    }
    paths = ["/red.png", "/text.png", "/half.png", "/huge.png", "/gone.png"]
    urls = [*(f"http://x.example{path}" for path in paths), None, "http://x.example/black.png"]
    red, reasons = gather(gatherer, urls, MeanColour())
    assert red == [255, None, None, None, None, None, 0]
    assert reasons == {1: "not_an_image", 2: "truncated", 3: "too_many_pixels", 4: "missing", 5: "no_url"}


def test_no_image_is_embedded_twice(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """The same picture at two addresses, and asked for again, is embedded once."""
    web.pages |= {"/a.png": samples.png("red"), "/b.png": samples.png("red")}
    embedder, urls = MeanColour(), ["http://x.example/a.png", "http://x.example/b.png"]
    assert gather(gatherer, urls, embedder) == gather(gatherer, urls, embedder) == ([255, 255], {})
    assert embedder.embedded == 1


def test_a_changed_picture_is_embedded_anew(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """What lies at an address may change: the address alone is not trusted."""
    embedder = MeanColour()
    for colour, red in (("red", 255), ("black", 0)):
        web.pages["/a.png"] = samples.png(colour)
        assert gather(gatherer, ["http://x.example/a.png"], embedder)[0] == [red]


def test_an_upload_is_fetched_once(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """Label Studio never changes an uploaded file, so that its embedding needs no second download."""
    web.pages["/data/upload/1/a.png"] = samples.png("red")
    for _ in range(2):
        assert gather(gatherer, ["/data/upload/1/a.png"], MeanColour())[0] == [255]
    assert len(web.seen) == 1


def test_known_images_need_no_model(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """While the backbone is being loaded, cached images are answered and the others say why not."""
    web.pages |= {"/a.png": samples.png("red"), "/b.png": samples.png("black")}
    gather(gatherer, ["http://x.example/a.png"], MeanColour())

    class Loading:
        def __getattr__(self, _: str) -> None:
            raise ModelLoadingError("still loading")

    urls = ["http://x.example/a.png", "http://x.example/b.png"]
    assert gather(gatherer, urls, Loading()) == ([255, None], {1: "model_loading"})


def test_what_is_late_says_so(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """At the deadline the slow images are left, in this chunk and in the next."""
    for number in range(6):
        web.pages[f"/{number}.png"] = samples.png("red", (8 + number, 8))
    urls = [f"http://x.example/{number}.png" for number in range(6)]
    began = time.monotonic()
    red, reasons = gather(gatherer, urls, MeanColour(seconds=1), ends_at=began + 0.3)
    assert time.monotonic() - began < 1
    assert red == [None] * 6
    assert set(reasons.values()) == {"deadline"}


@pytest.mark.parametrize("url", ["http://x.example/data/upload/1/a.png", "/data/upload/1/a.png"])
def test_an_unusable_cache_costs_no_suggestion(
    gatherer: Gatherer, web: "Web", samples: "Samples", tmp_path: Path, url: str
) -> None:
    """Where nothing can be kept or looked up, an upload and any other image are embedded all the same."""
    with contextlib.closing(sqlite3.connect(tmp_path / "embeddings.sqlite")) as database:
        database.executescript("DROP TABLE embedding; DROP TABLE upload")
    web.pages["/data/upload/1/a.png"] = samples.png("red")
    assert gather(gatherer, [url], MeanColour()) == ([255], {})


def test_a_failed_embedding_leaves_the_others(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """When the second chunk cannot be embedded, the first chunk's embeddings stay."""
    web.pages |= {f"/{number}.png": samples.png("red", (8 + number, 8)) for number in range(5)}

    class OutOfMemory(MeanColour):
        def embed(self, prepared: list[np.ndarray]) -> np.ndarray:
            if self.embedded:
                raise MemoryError
            return super().embed(prepared)

    urls = [f"http://x.example/{number}.png" for number in range(5)]
    assert gather(gatherer, urls, OutOfMemory()) == ([255] * 4 + [None], {4: "embedding_failed"})


def test_a_busy_embedder_is_not_waited_for_past_the_deadline(
    gatherer: Gatherer, web: "Web", samples: "Samples"
) -> None:
    """While another request embeds, the wait ends with the deadline."""
    web.pages["/a.png"] = samples.png("red")
    began = time.monotonic()
    with gatherer._embedding:
        found = gather(gatherer, ["http://x.example/a.png"], MeanColour(), ends_at=began + 0.3)
    assert found == ([None], {0: "deadline"})
    assert time.monotonic() - began < 3


def test_a_wait_for_the_model_does_not_keep_others_from_decoding(
    gatherer: Gatherer, web: "Web", samples: "Samples"
) -> None:
    """Threads that wait for a backbone hold no place at the decoder."""
    web.pages |= {f"/{number}.png": samples.png("red", (8 + number, 8)) for number in range(3)}
    free: list[bool] = []

    def loading() -> None:
        if free_now := gatherer._decoding.acquire(timeout=0.1):
            gatherer._decoding.release()
        free.append(free_now)
        raise ModelLoadingError("still loading")

    gatherer._decoding = threading.Semaphore(1)
    refs = [ImageRef(number, "image", f"http://x.example/{number}.png") for number in range(3)]
    found = gatherer.gather(refs, embedding_key=KEY, embedder=loading)
    assert set(found.failures.values()) == {"model_loading"}
    assert free == [True] * 3


def test_an_unforeseen_error_stays_with_its_task(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """Even an error that nobody thought of costs one task only."""
    web.pages |= {"/a.png": samples.png("red", (1, 1)), "/b.png": samples.png("red", (9, 9))}

    class Picky(MeanColour):
        def prepare(self, image: Image.Image) -> np.ndarray:
            if image.width == 1:
                raise ZeroDivisionError
            return super().prepare(image)

    urls = ["http://x.example/a.png", "http://x.example/b.png"]
    assert gather(gatherer, urls, Picky()) == ([None, 255], {0: "unexpected_ZeroDivisionError"})

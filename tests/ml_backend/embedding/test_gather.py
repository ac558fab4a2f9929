import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hostile_images import slow_jpeg
from PIL import Image

from common.images.fetch import Connect, Fetcher
from ml_backend.embedding.cache import Address, Embedded, EmbeddingCache
from ml_backend.embedding.gather import Gatherer, ImageRef
from ml_backend.errors import ModelLoadingError, WeightsError
from ml_backend.images.decoding import ImageLimits
from ml_backend.predict.ray_embedding import Collector

if TYPE_CHECKING:
    from conftest import Samples, Web

KEY = "mean-colour"
LIMIT_S = 60


class MeanColour:
    """An embedder whose embedding is the mean colour, quick and checkable by hand. Counts what it embeds.

    ``done`` is released once an image, ``entered`` is set when it begins with a batch.
    """

    key, short_side, streams = KEY, 8, 1

    def __init__(self) -> None:
        self.embedded, self.done = 0, threading.Semaphore(0)
        self.entered, self.go = threading.Event(), threading.Event()
        self.go.set()

    def prepare(self, image: Image.Image) -> np.ndarray:
        """The mean colour of an image, (3,)."""
        return np.asarray(image).mean(axis=(0, 1)).astype(np.float32)

    def embed(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """The means as they are."""
        self.entered.set()
        assert self.go.wait(LIMIT_S)
        self.embedded += len(prepared)
        self.done.release(len(prepared))
        return np.stack(prepared)

    def hold(self) -> None:
        """Embed nothing before ``go``."""
        self.entered.clear()
        self.go.clear()


@pytest.fixture
def make(connections: Connect, tmp_path: Path) -> Iterator[Callable[..., Gatherer]]:
    """Makes gatherers with one cache."""
    made: list[Gatherer] = []

    def make(cache: EmbeddingCache | None = None, **options: float) -> Gatherer:
        cache = cache or EmbeddingCache(tmp_path / "embeddings.sqlite")
        fetcher = Fetcher(
            base_url="http://ls.example", authorization=str, max_bytes=10_000, timeout_s=60, connect=connections
        )
        made.append(
            Gatherer(fetcher=fetcher, cache=cache, limits=ImageLimits(max_pixels=1000), batch_size=4, **options)
        )
        return made[-1]

    yield make
    for gatherer in made:
        gatherer.close()


@pytest.fixture
def impatient(connections: Connect, tmp_path: Path) -> Iterator[Callable[..., Gatherer]]:
    """Makes gatherers with little time for an image and a cache that outlives them."""
    made: list[Gatherer] = []

    def make(seconds: float = 0.2) -> Gatherer:
        fetcher = Fetcher(
            base_url="http://ls.example", authorization=str, max_bytes=10**6, timeout_s=60, connect=connections
        )
        cache = EmbeddingCache(tmp_path / "embeddings.sqlite")
        made.append(Gatherer(fetcher=fetcher, cache=cache, limits=ImageLimits(max_decode_s=seconds)))
        return made[-1]

    yield make
    for gatherer in made:
        gatherer.close()


@pytest.fixture
def gatherer(make: Callable[..., Gatherer]) -> Gatherer:
    """A gatherer with an empty cache."""
    return make()


def gather(gatherer: Gatherer, urls: Sequence[object], embedder: object, **options: object) -> tuple[list, dict]:
    """The red of each image, and the reasons of those without one, by position."""
    refs = [ImageRef(number, "image", url) for number, url in enumerate(urls)]
    gathered = gatherer.gather(refs, embedding_key=KEY, embedder=lambda: embedder, **options)
    assert set(gathered.vectors) | set(gathered.failures) == set(refs)
    assert list(gathered.vectors) == [ref for ref in refs if ref in gathered.vectors]
    red = [float(gathered.vectors[ref][0]) if ref in gathered.vectors else None for ref in refs]
    return red, {ref.task_id: reason for ref, reason in gathered.failures.items()}


def pictures(web: "Web", samples: "Samples", count: int) -> list[str]:
    """The addresses of different red pictures."""
    web.pages |= {f"/{number}.png": samples.png("red", (8 + number, 8)) for number in range(count)}
    return [f"http://x.example/{number}.png" for number in range(count)]


def test_faults_stay_with_their_task(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """Of eight images six are faulty, each in its way, and the other two are embedded."""
    web.pages |= {
        "/red.png": samples.png("red"),
        "/text.png": b"hello",
        "/half.png": samples.png("red")[:50],
        "/huge.png": samples.png("red", (40, 40)),
        "/black.png": samples.png("black"),
    }
    paths = ["/red.png", "/text.png", "/half.png", "/huge.png", "/gone.png"]
    urls = [*(f"http://x.example{path}" for path in paths), None, "http://x.example/black.png", " "]
    red, reasons = gather(gatherer, urls, MeanColour())
    assert red == [255, None, None, None, None, None, 0, None]
    assert reasons == {
        1: "not_an_image",
        2: "truncated",
        3: "too_many_pixels",
        4: "missing",
        5: "no_url",
        7: "no_url",
    }


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://x.example/\ud800.png", "unsupported_url"),
        ("http://x.example/\0.png", "unsupported_url"),
        ("data:image/png;base64," + "A" * 20_000, "data_url"),
        ("http://x.example/" + "a" * 20_000, "url_too_long"),
    ],
)
def test_no_text_spoils_the_look_up_of_the_others(
    gatherer: Gatherer, web: "Web", samples: "Samples", url: str, reason: str
) -> None:
    """Texts that no database and no server would take cost their own task alone."""
    web.pages["/a.png"] = samples.png("red")
    assert gather(gatherer, [url, "http://x.example/a.png"], MeanColour()) == ([None, 255], {0: reason})


def test_no_image_is_embedded_twice(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """The same picture at two addresses, and asked for again, is embedded once."""
    web.pages |= {"/a.png": samples.png("red"), "/b.png": samples.png("red")}
    embedder, urls = MeanColour(), ["http://x.example/a.png", "http://x.example/b.png"]
    assert gather(gatherer, urls, embedder) == gather(gatherer, urls, embedder) == ([255, 255], {})
    assert embedder.embedded == 1


def test_a_picture_that_is_asked_for_twice_at_once_is_fetched_once(
    gatherer: Gatherer, web: "Web", samples: "Samples"
) -> None:
    """A request that is repeated while the first one waits joins it."""
    web.pages["/a.png"] = samples.png("red")
    embedder, urls = MeanColour(), ["http://x.example/a.png"]
    embedder.hold()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(gather, gatherer, urls, embedder)
        assert embedder.entered.wait(LIMIT_S)
        assert gather(gatherer, urls, embedder, ends_at=0) == ([None], {0: "deadline"})
        embedder.go.set()
        assert first.result(LIMIT_S) == ([255], {})
    assert (embedder.embedded, len(web.seen)) == (1, 1)


def test_a_known_address_is_not_fetched_again_for_a_time(
    make: Callable[..., Gatherer], web: "Web", samples: "Samples"
) -> None:
    """What lies at an address may change: it is trusted for as long as is set, and after a restart too."""
    url = ["http://x.example/a.png"]
    for recheck_s, colour, red, fetched in ((60, "red", 255, 1), (60, "black", 255, 1)):
        web.pages["/a.png"] = samples.png(colour)
        gatherer = make(recheck_s=recheck_s)
        assert gather(gatherer, url, MeanColour())[0] == [red]
        gatherer.close()
        assert len(web.seen) == fetched


def test_a_changed_picture_is_embedded_anew(make: Callable[..., Gatherer], web: "Web", samples: "Samples") -> None:
    """An address that is not trusted any more is fetched, and what lies there now counts."""
    embedder = MeanColour()
    for colour, red in (("red", 255), ("black", 0), ("black", 0)):
        web.pages["/a.png"] = samples.png(colour)
        gatherer = make(recheck_s=0)
        assert gather(gatherer, ["http://x.example/a.png"], embedder)[0] == [red]
        gatherer.close()
    assert (embedder.embedded, len(web.seen)) == (2, 3)


def test_an_upload_is_fetched_once(make: Callable[..., Gatherer], web: "Web", samples: "Samples") -> None:
    """Label Studio never changes an uploaded file, so that its embedding needs no second download."""
    web.pages["/data/upload/1/a.png"] = samples.png("red")
    for _ in range(2):
        gatherer = make(recheck_s=0)
        assert gather(gatherer, ["/data/upload/1/a.png"], MeanColour())[0] == [255]
        gatherer.close()
    assert len(web.seen) == 1


def test_projects_learn_nothing_from_one_another(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """What one project may read tells another nothing: it fetches the image itself, and fails where it may not."""
    web.pages["/data/upload/1/a.png"] = samples.png("red")
    assert gather(gatherer, ["/data/upload/1/a.png"], MeanColour(), project_id=1)[0] == [255]
    web.pages["/data/upload/1/a.png"] = 403
    assert gather(gatherer, ["/data/upload/1/a.png"], MeanColour(), project_id=2)[1] == {0: "http_403"}
    assert gather(gatherer, ["/data/upload/1/a.png"], MeanColour(), project_id=1)[0] == [255]


def test_known_images_need_no_model(make: Callable[..., Gatherer], web: "Web", samples: "Samples") -> None:
    """While there is no backbone, known addresses and known files are answered, and the others say why not."""
    web.pages |= {"/a.png": samples.png("red"), "/again.png": samples.png("red"), "/b.png": samples.png("black")}
    gatherer = make()
    gather(gatherer, ["http://x.example/a.png"], MeanColour())
    refs = [ImageRef(n, "image", f"http://x.example/{name}.png") for n, name in enumerate(("a", "again", "b"))]
    for error, reason in ((ModelLoadingError(), "model_loading"), (WeightsError(), "model_unavailable")):

        def fails(error: Exception = error) -> None:
            raise error

        gathered = gatherer.gather(refs, embedding_key=KEY, embedder=fails)
        assert [float(gathered.vectors[ref][0]) for ref in refs[:2]] == [255, 255]
        assert gathered.failures == {refs[2]: reason}
        assert gathered.embedded == 0


def test_known_images_ask_for_no_model(make: Callable[..., Gatherer], web: "Web", samples: "Samples") -> None:
    """Where all is known, nobody waits for a backbone."""
    web.pages["/a.png"] = samples.png("red")
    ref = ImageRef(1, "image", "http://x.example/a.png")
    first = make()
    gather(first, [ref.url], MeanColour())
    first.close()
    gathered = make().gather([ref], embedding_key=KEY, embedder=lambda: pytest.fail("asked for a backbone"))
    assert list(gathered.vectors) == [ref]


def test_what_is_late_is_there_the_next_time(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """At the deadline the images that are not done are left; they are finished, once, for the next request."""
    urls, embedder = pictures(web, samples, 20), MeanColour()
    embedder.hold()
    red, reasons = gather(gatherer, urls, embedder, ends_at=0)
    assert (red, set(reasons.values())) == ([None] * 20, {"deadline"})
    embedder.go.set()
    for _ in urls:
        assert embedder.done.acquire(timeout=LIMIT_S)
    assert gather(gatherer, urls, embedder) == ([255] * 20, {})
    assert (embedder.embedded, len(web.seen)) == (20, 20)


@pytest.mark.parametrize(("look_up", "path"), [("vectors_at", "/a.png"), ("get", "/again.png")])
def test_what_is_written_while_it_is_looked_up_is_not_done_twice(
    make: Callable[..., Gatherer],
    web: "Web",
    samples: "Samples",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    look_up: str,
    path: str,
) -> None:
    """What comes into the cache just after a request has looked is neither fetched nor embedded again."""
    web.pages |= {"/a.png": samples.png("red"), "/again.png": samples.png("red")}
    cache, embedder, written = EmbeddingCache(tmp_path / "embeddings.sqlite"), MeanColour(), threading.Semaphore(0)
    gatherer, keep, look = make(cache), cache.keep, getattr(cache, look_up)

    def keep_and_count(row: Embedded | Address, when_written: Callable[[], None]) -> None:
        keep(row, lambda: (when_written(), written.release()))

    def look_too_early(*arguments: object) -> object:
        monkeypatch.setattr(cache, look_up, look)
        before = look(*arguments)
        embedder.go.set()
        assert written.acquire(timeout=LIMIT_S)
        assert written.acquire(timeout=LIMIT_S)  # the embedding and its address
        return before

    monkeypatch.setattr(cache, "keep", keep_and_count)
    embedder.hold()
    assert gather(gatherer, ["http://x.example/a.png"], embedder, ends_at=0)[1] == {0: "deadline"}
    assert embedder.entered.wait(LIMIT_S)
    monkeypatch.setattr(cache, look_up, look_too_early)
    assert gather(gatherer, [f"http://x.example{path}"], embedder) == ([255], {})
    assert embedder.embedded == 1
    assert [request.url.path for request in web.seen] == list(dict.fromkeys(["/a.png", path]))


def test_repeated_requests_queue_nothing_twice(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """Requests that come again and again while nothing moves wait for the same images."""
    urls, embedder = pictures(web, samples, 40), MeanColour()
    embedder.hold()
    for _ in range(3):
        assert gather(gatherer, urls, embedder, ends_at=0)[0] == [None] * 40
        assert gatherer._lanes.waiting <= 40
    embedder.go.set()
    assert gather(gatherer, urls, embedder) == ([255] * 40, {})
    assert (embedder.embedded, len(web.seen)) == (40, 40)


def test_too_much_is_refused(make: Callable[..., Gatherer], web: "Web", samples: "Samples") -> None:
    """What is left at the deadline beyond the backlog is not kept in mind, and says so."""
    gatherer, embedder = make(backlog=5), MeanColour()
    embedder.hold()
    web.pages |= {f"/{number}.png": samples.png("red") for number in range(400)}
    urls = [f"http://x.example/{number}.png?{number}" for number in range(400)]
    _, reasons = gather(gatherer, urls, embedder, ends_at=0)
    assert len(reasons) == 400
    assert set(reasons.values()) == {"deadline", "overloaded"}
    assert gatherer._lanes.waiting <= 256
    embedder.go.set()


def test_a_small_request_does_not_wait_for_a_large_one(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """While a hundred images are on their way, another request's image comes after a few of them."""
    urls, embedder = pictures(web, samples, 100), MeanColour()
    web.pages["/black.png"] = samples.png("black")
    embedder.hold()
    with ThreadPoolExecutor(2) as pool:
        large = pool.submit(gather, gatherer, urls, embedder)
        assert embedder.entered.wait(LIMIT_S)
        fetched: list[int] = []
        small = pool.submit(
            gather,
            gatherer,
            ["http://x.example/black.png"],
            MeanColour(),
            advance=lambda done: fetched.append(len(web.seen)) if done else embedder.go.set(),
        )
        assert small.result(LIMIT_S) == ([0], {})
        assert fetched[0] < 90
        assert large.result(LIMIT_S) == ([255] * 100, {})


def test_what_was_found_is_kept_when_it_is_told(
    make: Callable[..., Gatherer], web: "Web", samples: "Samples", tmp_path: Path
) -> None:
    """A worker of a cluster that takes what was kept as soon as it has its answer takes all of it."""
    answered = threading.Event()

    class Slow(Collector):
        def keep(self, row: Embedded | Address, kept: Callable[[], None] = lambda: None) -> None:
            assert not answered.wait(0.05)  # an answer that came before this would be there by now
            super().keep(row, kept)

    web.pages["/a.png"] = samples.png("red")
    collector = Slow(tmp_path / "embeddings.sqlite")
    gather(make(cache=collector), ["http://x.example/a.png"], MeanColour())
    answered.set()
    assert [type(row) for row in collector.take()] == [Embedded, Address]


def test_an_unusable_cache_costs_no_suggestion(
    gatherer: Gatherer, web: "Web", samples: "Samples", tmp_path: Path
) -> None:
    """Where nothing can be kept or looked up, images are embedded all the same."""
    with contextlib.closing(sqlite3.connect(tmp_path / "embeddings.sqlite")) as database:
        database.executescript("DROP TABLE image; DROP TABLE vector; DROP TABLE address")
    web.pages["/data/upload/1/a.png"] = samples.png("red")
    for _ in range(2):
        assert gather(gatherer, ["/data/upload/1/a.png"], MeanColour()) == ([255], {})


def test_a_failed_embedding_leaves_the_others(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """Of five images the one that the network fails on is lost."""
    urls = pictures(web, samples, 5)
    web.pages["/3.png"] = samples.png("black")

    class NoBlack(MeanColour):
        def embed(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
            if any(image[0] == 0 for image in prepared):
                raise MemoryError
            return super().embed(prepared)

    assert gather(gatherer, urls, NoBlack()) == ([255, 255, 255, None, 255], {3: "embedding_failed"})


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


def test_progress_reaches_the_end(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """Whoever watches is told of each image once, whether it was known, new, shared or faulty."""
    urls = pictures(web, samples, 5)
    gather(gatherer, urls[:2], MeanColour())
    advances: list[int] = []
    refs = [ImageRef(n, "image", url) for n, url in enumerate([*urls, urls[4], None, "http://x.example/gone.png"])]
    gathered = gatherer.gather(refs, embedding_key=KEY, embedder=MeanColour, advance=advances.append)
    assert (sum(advances), len(gathered.vectors), gathered.embedded) == (8, 6, 4)


def test_calibration_gets_prepared_images(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """Images are fetched and prepared whether they are known or not, and it is counted why some cannot be."""
    urls = [*pictures(web, samples, 3), "http://x.example/gone.png", None]
    prepared, faults = gatherer.prepare([ImageRef(n, "image", url) for n, url in enumerate(urls)], MeanColour())
    assert [image.tolist() for image in prepared] == [[255, 0, 0]] * 3
    assert faults == {"missing": 1, "no_url": 1}


def test_the_end_leaves_nobody_waiting(gatherer: Gatherer, web: "Web", samples: "Samples") -> None:
    """When the backend stops, a request in progress gets what was done, and for the rest the reason."""
    urls, embedder = pictures(web, samples, 40), MeanColour()
    embedder.hold()

    def go_on(done: int) -> None:
        if done:  # the first image that is done is one that is given up: nothing is embedded before
            embedder.go.set()

    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(gather, gatherer, urls, embedder, advance=go_on)
        assert embedder.entered.wait(LIMIT_S)
        gatherer.close()
        red, reasons = request.result(LIMIT_S)
    assert 1 <= red.count(255) < 40
    assert set(reasons.values()) == {"stopping"}
    assert gather(gatherer, ["http://x.example/late.png"], embedder)[1] == {0: "stopping"}


def test_an_image_that_takes_too_long_is_decoded_once(
    impatient: Callable[..., Gatherer], web: "Web", samples: "Samples"
) -> None:
    """Its bytes are refused at once wherever they lie, its address is not fetched again, also after a restart."""
    web.pages |= {"/slow.jpg": slow_jpeg(2000), "/same.jpg": slow_jpeg(2000), "/red.png": samples.png("red")}
    urls = ["http://x.example/slow.jpg", "http://x.example/red.png"]
    gatherer = impatient()
    assert gather(gatherer, urls, MeanColour()) == ([None, 255], {0: "too_slow"})
    gatherer.close()
    web.seen.clear()
    again = impatient()
    assert gather(again, [*urls, "http://x.example/same.jpg"], MeanColour())[1] == {0: "too_slow", 2: "too_slow"}
    assert [request.url.path for request in web.seen] == ["/same.jpg"]
    prepared, faults = again.prepare([ImageRef(1, "image", urls[0])], MeanColour())
    assert (prepared, faults) == ([], {"too_slow": 1})


def test_higher_limits_try_an_image_anew(impatient: Callable[..., Gatherer], web: "Web") -> None:
    """What was refused for its time is embedded once there is enough of it."""
    web.pages["/slow.jpg"] = slow_jpeg(200)
    urls = ["http://x.example/slow.jpg"]
    assert gather(impatient(0.01), urls, MeanColour())[1] == {0: "too_slow"}
    assert gather(impatient(30), urls, MeanColour())[1] == {}


def test_what_may_be_another_thing_in_a_minute_is_fetched_again(
    gatherer: Gatherer, web: "Web", samples: "Samples"
) -> None:
    """A login page in place of an image is remembered by its bytes, not by its address; an upload by both."""
    urls = ["http://x.example/a.png", "/data/upload/1/a.png"]
    web.pages |= {"/a.png": b"<html>", "/data/upload/1/a.png": b"<html>"}
    assert gather(gatherer, urls, MeanColour())[1] == {0: "html_page", 1: "html_page"}
    gatherer._cache.close()
    web.pages |= dict.fromkeys(web.pages, samples.png("red"))
    assert gather(gatherer, urls, MeanColour())[0] == [255, None]


def test_two_slow_images_of_one_project_keep_no_other_waiting(
    impatient: Callable[..., Gatherer], web: "Web", samples: "Samples"
) -> None:
    """An image of another project is there before the slow ones are given up."""
    web.pages |= {f"/{number}.jpg": slow_jpeg(10_000 + number) for number in range(3)}
    web.pages["/red.png"] = samples.png("red")
    gatherer, embedder, slow = (
        impatient(20),
        MeanColour(),
        [f"http://x.example/{number}.jpg" for number in range(3)],
    )
    with ThreadPoolExecutor(1) as pool:
        request = pool.submit(gather, gatherer, slow, embedder, project_id=1)
        while len(gatherer._decoder._workers._busy) < 2:
            time.sleep(0.001)
        assert gather(gatherer, ["http://x.example/red.png"], embedder, project_id=2)[0] == [255]
        assert not request.done()
        gatherer.close()
        assert set(request.result(LIMIT_S)[1].values()) == {"stopping"}

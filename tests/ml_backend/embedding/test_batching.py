import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from ml_backend.embedding.batching import Batcher
from ml_backend.errors import EmbeddingError, StoppingError

LIMIT_S = 60


class Doubling:
    """An embedder that doubles one number. Keeps its batches, waits for ``go``, and fails where it is told to."""

    def __init__(self, key: str = "doubling", seen: list[tuple[str, list[float]]] | None = None) -> None:
        self.key, self.streams = key, 1
        self.seen = [] if seen is None else seen
        self.entered, self.go = threading.Event(), threading.Event()
        self.go.set()
        self.fails: Callable[[list[float]], bool] = lambda _: False

    def embed(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """Twice each number."""
        numbers = [float(image[0]) for image in prepared]
        self.entered.set()
        assert self.go.wait(LIMIT_S)
        self.seen.append((self.key, numbers))
        if self.fails(numbers):
            raise MemoryError
        return 2 * np.stack(prepared)

    def hold(self) -> None:
        """Let the next batch wait for ``go``."""
        self.entered.clear()
        self.go.clear()


def number(value: float) -> np.ndarray:
    """A prepared image."""
    return np.array([value], dtype=np.float32)


def add(batcher: Batcher, embedder: Doubling, *values: float) -> list[Future]:
    """Queue some numbers."""
    futures: list[Future] = []
    for value in values:
        futures.append(Future())
        batcher.add(embedder, number(value), futures[-1])
    return futures


@pytest.fixture
def batches() -> list[int]:
    """The sizes that were observed."""
    return []


@pytest.fixture
def batcher(batches: list[int]) -> Iterator[Batcher]:
    """Batches of four that wait for nothing, and room for eight images."""
    made = Batcher(batch_size=4, waiting=8, linger_s=0, observe=batches.append)
    yield made
    made.close(LIMIT_S)


def test_images_of_several_threads_share_batches(batcher: Batcher, batches: list[int]) -> None:
    """Six images of six threads go through the network in a full batch and the rest."""
    embedder = Doubling()
    embedder.hold()
    futures = add(batcher, embedder, 0)
    assert embedder.entered.wait(LIMIT_S)
    with ThreadPoolExecutor(6) as pool:
        for added in pool.map(lambda value: add(batcher, embedder, value), range(1, 7)):
            futures += added
    embedder.go.set()
    assert [future.result(LIMIT_S).tolist() for future in futures] == [[2 * value] for value in range(7)]
    assert batches == [1, 4, 2]


def test_a_batch_waits_for_more_images(batches: list[int]) -> None:
    """Four images that come one by one make one batch, and a fifth goes alone when its time is over."""
    patient = Batcher(batch_size=4, waiting=8, linger_s=LIMIT_S, observe=batches.append)
    for future in add(patient, Doubling(), 1, 2, 3, 4):
        future.result(LIMIT_S / 2)
    patient.close(LIMIT_S)
    hasty = Batcher(batch_size=4, waiting=8, linger_s=0.01, observe=batches.append)
    [future] = add(hasty, Doubling(), 5)
    future.result(LIMIT_S)
    hasty.close(LIMIT_S)
    assert batches == [4, 1]


def test_each_image_gets_its_own_embedding(batcher: Batcher) -> None:
    """The answers of a batch go to those who asked for them."""
    futures = add(batcher, Doubling(), 1, 2, 3, 4, 5)
    assert [future.result(LIMIT_S).tolist() for future in futures] == [[2], [4], [6], [8], [10]]


def test_embedders_take_turns(batcher: Batcher) -> None:
    """A project with many images does not keep another one's single image from being embedded next."""
    batches: list[tuple[str, list[float]]] = []
    many, few = Doubling("many", batches), Doubling("few", batches)
    many.hold()
    futures = add(batcher, many, 1)
    assert many.entered.wait(LIMIT_S)
    futures += add(batcher, many, 2, 3, 4, 5, 6) + add(batcher, few, 7)
    many.go.set()
    for future in futures:
        future.result(LIMIT_S)
    assert batches == [("many", [1]), ("many", [2, 3, 4, 5]), ("few", [7]), ("many", [6])]


def test_batches_are_embedded_at_the_same_time(batcher: Batcher) -> None:
    """An embedder that computes two batches at once gets the second one while it is at the first."""
    embedder = Doubling()
    embedder.streams = 2
    for value in (1, 2):
        embedder.hold()
        add(batcher, embedder, value)
        assert embedder.entered.wait(LIMIT_S)
    embedder.go.set()


def test_who_adds_too_much_waits(batcher: Batcher) -> None:
    """However many threads add images, no more than eight wait at any moment, and all are embedded."""
    embedder, waiting = Doubling(), []
    embedder.fails = lambda _: waiting.append(batcher.waiting) is not None
    embedder.hold()
    futures = add(batcher, embedder, 0)
    assert embedder.entered.wait(LIMIT_S)
    futures += add(batcher, embedder, *range(1, 9))
    assert batcher.waiting == 8
    with ThreadPoolExecutor(4) as pool:
        more = [pool.submit(add, batcher, embedder, value) for value in range(9, 50)]
        embedder.go.set()
    futures += [future for added in more for future in added.result(LIMIT_S)]
    assert [future.result(LIMIT_S).tolist() for future in futures] == [[2 * value] for value in range(50)]
    assert max(waiting) <= 8


def test_only_the_guilty_image_fails(batcher: Batcher) -> None:
    """A batch that cannot be embedded is tried again image by image."""
    embedder = Doubling()
    embedder.fails = lambda numbers: 2 in numbers
    embedder.hold()
    add(batcher, embedder, 0)
    assert embedder.entered.wait(LIMIT_S)
    good, bad, also_good = add(batcher, embedder, 1, 2, 3)
    embedder.go.set()
    assert (good.result(LIMIT_S).tolist(), also_good.result(LIMIT_S).tolist()) == ([2], [6])
    assert isinstance(bad.exception(LIMIT_S), EmbeddingError)
    assert [numbers for _, numbers in embedder.seen] == [[0], [1, 2, 3], [1], [2], [3]]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_embedding(batcher: Batcher, value: float) -> None:
    """An embedding that is not finite would spoil whatever is computed from it."""
    good, bad = add(batcher, Doubling(), 1, value)
    assert good.result(LIMIT_S).tolist() == [2]
    assert isinstance(bad.exception(LIMIT_S), EmbeddingError)


def test_the_end_leaves_nobody_waiting(batcher: Batcher) -> None:
    """At the end the batch in progress is finished, and what waits or comes later is told so."""
    embedder = Doubling()
    embedder.hold()
    [first] = add(batcher, embedder, 0)
    assert embedder.entered.wait(LIMIT_S)
    waiting = add(batcher, embedder, *range(1, 9))
    blocked: list[Exception] = []

    def one_more() -> None:
        try:
            add(batcher, embedder, 9)
        except StoppingError as error:
            blocked.append(error)

    with ThreadPoolExecutor(2) as pool:
        pool.submit(one_more)
        closing = pool.submit(batcher.close, LIMIT_S)
        assert isinstance(waiting[0].exception(LIMIT_S), StoppingError)  # it has begun to close
        embedder.go.set()
        closing.result(LIMIT_S)
    assert first.result(0).tolist() == [0]
    assert all(isinstance(future.exception(0), StoppingError) for future in waiting)
    assert len(blocked) == 1
    with pytest.raises(StoppingError):
        batcher.add(embedder, number(1), Future())

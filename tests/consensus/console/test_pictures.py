"""Small pictures of tasks, of images that strangers made."""

import io
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from made_desk import OTHER, Desk
from PIL import Image
from werkzeug.test import TestResponse

from common.images.workers import Workers
from consensus.console import pictures
from consensus.console.pictures import MOST_MEMORY, Pictures
from consensus.console.shrinking import LARGEST_IMAGE


def png(width: int, height: int) -> bytes:
    """A white picture."""
    made = io.BytesIO()
    Image.new("1", (width, height), 1).save(made, "PNG")
    return made.getvalue()


def slow_tiff() -> bytes:
    """A large picture, packed."""
    made = io.BytesIO()
    Image.new("RGB", (9000, 5000)).save(made, "TIFF", compression="tiff_lzw")
    return made.getvalue()


def asked(client: FlaskClient, task: int) -> TestResponse:
    """The answer to a question for the picture of a task, its file closed."""
    answer = client.get(f"/projects/7/tasks/{task}/picture?control=kind")
    answer.get_data()
    answer.close()
    return answer


@pytest.fixture
def fetched(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What lies at the address of every task: the last one put here."""
    contents: list[bytes] = []
    monkeypatch.setattr(Pictures, "_fetched", lambda *_: contents[-1])
    yield contents
    desk.console.pictures.close()


def test_a_picture_is_small_and_of_webp(desk: Desk, fetched: list[bytes]) -> None:
    """Its longer side has 320 pixels; who is no reviewer gets none."""
    fetched.append(png(1000, 500))
    answer = asked(desk.signed_in(OTHER), 101)
    assert (answer.status_code, answer.mimetype) == (200, "image/webp")
    assert Image.open(io.BytesIO(answer.data)).size == (320, 160)


@pytest.mark.parametrize(
    ("content", "why"), [(png(LARGEST_IMAGE // 1000, 1001), "too many pixels"), (b"<html>", "not an image")]
)
def test_what_is_no_picture_is_refused(desk: Desk, fetched: list[bytes], content: bytes, why: str) -> None:
    """With a reason, and no other picture suffers from it."""
    client = desk.signed_in(OTHER)
    fetched.append(content)
    answer = asked(client, 101)
    assert (answer.status_code, why in answer.text) == (404, True)
    fetched.append(png(10, 10))
    assert asked(client, 101).status_code == 200


def test_a_picture_that_takes_too_long_ends_and_is_not_tried_again(
    desk: Desk, fetched: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process is ended; the same bytes are then refused at once, at whatever address."""
    monkeypatch.setattr(desk.console.pictures, "_workers", Workers(1, cpu_s=0.01, memory_bytes=MOST_MEMORY))
    client = desk.signed_in(OTHER)
    fetched.append(slow_tiff())
    answer = asked(client, 101)
    assert (answer.status_code, "too slow" in answer.text) == (404, True)
    desk.console.pictures.close()
    answer = asked(client, 102)
    assert (answer.status_code, "too slow" in answer.text) == (404, True)


def test_pictures_leave_threads_to_other_pages(
    desk: Desk, fetched: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While too many are made, the next one is told to come again."""
    monkeypatch.setattr(pictures, "PATIENCE_S", 0.01)
    fetched.append(png(10, 10))
    client = desk.signed_in(OTHER)
    for _ in range(pictures.MAKERS):
        desk.console.pictures._makers.acquire()
    answer = asked(client, 101)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    desk.console.pictures._makers.release()
    assert asked(client, 101).status_code == 200

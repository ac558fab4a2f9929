"""Small pictures of tasks, of images that strangers made."""

import io
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from made_desk import OTHER, REV, SECOND, Desk
from PIL import Image
from werkzeug.test import TestResponse

from common.images.fetch import Fetcher
from common.images.workers import Workers
from consensus.console import pictures
from consensus.console.picture_cache import PictureCache
from consensus.console.pictures import MOST_MEMORY, Pictures
from consensus.console.shrinking import LARGEST_IMAGE
from consensus.label_studio import Studio


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


def keep(cache: PictureCache, name: str, at: float, content: bytes = b"\0" * 100) -> None:
    """Keep a picture that was used at a time."""
    path = cache.put(name, content)
    os.utime(path, (at, at))


def test_what_was_longest_not_used_goes_first(tmp_path: Path) -> None:
    """Down to nine tenths of what is allowed; what a killed process has left half-written goes too."""
    cache = PictureCache(tmp_path, largest=1_000, clock=lambda: 10_000.0)
    for number in range(10):
        keep(cache, f"{number:064}", at=float(number))
    cache.put("ff" * 32, b"\0" * 100)
    leftover = tmp_path / "00" / ".half.webp"
    leftover.write_bytes(b"RIFF")
    os.utime(leftover, (0, 0))
    cache.sweep()
    left = {path.name for path in tmp_path.glob("??/*")}
    assert left == {f"{number:064}.webp" for number in range(2, 10)} | {f"{'ff' * 32}.webp"}
    cache.sweep()
    assert len([*tmp_path.glob("??/*")]) == 9


def test_a_picture_that_is_shown_counts_as_used(desk: Desk, fetched: list[bytes]) -> None:
    """And its file is the same for a browser that has it."""
    fetched.append(png(10, 10))
    first = asked(desk.signed_in(OTHER), 101)
    [path] = desk.console.pictures_in.glob("??/*.webp")
    os.utime(path, (1, 1))
    again = asked(desk.signed_in(OTHER), 101)
    assert (path.stat().st_atime > 1, path.stat().st_mtime) == (True, 1)
    assert (again.data, again.status_code) == (first.data, 200)


@pytest.mark.parametrize("damage", [b"", b"RIFF", b"nothing of that", None])
def test_a_damaged_picture_is_made_anew(desk: Desk, fetched: list[bytes], damage: bytes | None) -> None:
    """Empty, of other bytes, or cut off."""
    fetched.append(png(40, 20))
    client = desk.signed_in(OTHER)
    whole = asked(client, 101).data
    [path] = desk.console.pictures_in.glob("??/*.webp")
    path.write_bytes(whole[:-3] if damage is None else damage)
    assert asked(client, 101).data == whole


def test_label_studio_is_asked_for_pictures_over_connections_that_stay(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for all pictures, closed in the end."""
    opened, closed = list[int](), list[int]()

    @contextmanager
    def studio() -> Iterator[Studio]:
        opened.append(1)
        yield desk.made.connected()
        closed.append(1)

    made = Pictures(replace(desk.service, studio=studio), PictureCache(desk.folder / "others"))
    monkeypatch.setattr(Fetcher, "fetch", lambda *_: png(10, 10))
    assert {made._fetched("/data/upload/1.png", task) for task in range(3)} == {png(10, 10)}
    assert (len(opened), closed) == (1, [])
    made.close()
    assert closed == [1]


def test_a_picture_that_two_ask_for_is_made_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits for the first."""
    begun, goes_on, made = threading.Event(), threading.Event(), list[int]()

    def fetch(_: object, task: int) -> bytes:
        made.append(task)
        begun.set()
        goes_on.wait(20)
        return png(8, 8)

    monkeypatch.setattr(desk.console.pictures, "_fetched", fetch)
    clients = [desk.signed_in(REV), desk.signed_in(SECOND)]
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(asked, client, 101) for client in clients]
        assert begun.wait(20)
        goes_on.set()
        assert [answer.result(20).status_code for answer in answers] == [200, 200]
    desk.console.pictures.close()
    assert made == [101]

"""The measurement of `/predict`: its pictures, their server and its bars."""

import http.client
import io
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("flask", reason="the ML backend is not installed (extra ml)")

import picture_server
import predict
from servers import Server, free_port


def test_pictures_are_laid_out(tmp_path: Path) -> None:
    """Without data there are made-up pictures, no two alike, and a file that is none."""
    names = predict.lay_out(None, 3, tmp_path / "pictures")
    assert sorted(file.name for file in (tmp_path / "pictures").iterdir()) == [*names, "broken.jpg"]
    files = {(tmp_path / "pictures" / name).read_bytes() for name in names}
    assert len(files) == 3
    assert {Image.open(io.BytesIO(file)).size for file in files} == {(256, 256)}


def test_too_few_pictures_are_named(tmp_path: Path) -> None:
    """More pictures than there are end the run with what to do."""
    (tmp_path / "labelme" / "images").mkdir(parents=True)
    with pytest.raises(SystemExit, match="holds 0 pictures: give --images 0 or fewer"):
        predict.lay_out(tmp_path, 3, tmp_path / "pictures")


def test_pictures_are_served(tmp_path: Path) -> None:
    """The server gives a picture at Label Studio's address, with any query, and says what is missing."""
    folder, port = tmp_path / "pictures", free_port()
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"bytes")
    server = Server(
        "pictures", [sys.executable, picture_server.__file__, str(folder), str(port)], os.environ, tmp_path / "log"
    )
    try:
        server.wait_for_answer(f"http://127.0.0.1:{port}/", 30)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        sizes = []
        for name in ("a.jpg", "a.jpg?1", "b.jpg"):
            connection.request("GET", picture_server.UPLOADS + name)
            answer = connection.getresponse()
            sizes.append((answer.status, answer.read()))
        connection.close()
    finally:
        server.stop()
    assert sizes == [(200, b"bytes"), (200, b"bytes"), (404, b"")]


def test_bars_are_those_of_the_figures() -> None:
    """Each bar is missed on the wrong side of it."""
    figures = {
        "bare_images_per_s": 100.0,
        "bare_by_thread_images_per_s": 80.0,
        "predict_images_per_s": 90.0,
        "plain_images_per_s": 30.0,
        "warm_all_tasks_per_s": 2000.0,
        "warm_50_tasks_per_s": 1999.0,
        "p99_ms": 99.0,
        "memory_mb": 100.0,
        "memory_after_mb": 106.0,
    }
    assert [bar.reached for bar in predict.bars_of(figures)] == [True, False, True, False, True, False]
    ways = ("bare", "bare_by_thread", "predict", "plain")
    figures |= {"load_before": 0.0, "load_after": 0.0} | {f"{way}_processor_ms": 10.0 for way in ways}
    assert predict.report("resnet18", figures)["reached"] is False
    better = {"plain_images_per_s": 22.5, "warm_50_tasks_per_s": 2000.0, "memory_after_mb": 104.0}
    assert predict.report("resnet18", figures | better)["reached"] is True
    faster = figures | better | {"bare_by_thread_images_per_s": 101.0}
    assert predict.report("resnet18", faster)["reached"] is False  # the faster of the two bare loops counts


def test_a_task_is_asked_for_as_label_studio_does() -> None:
    """Requests hold the pictures' addresses, some at a time."""
    stage = predict.Stage(["a.jpg", "b.jpg", "c.jpg"], Path(), 0, 0, None, None, None, 2)
    assert [body.count(b"/data/upload/1/") for body in stage.bodies(stage.names, 2)] == [2, 1]


def test_few_requests_are_for_addresses_that_nobody_knows() -> None:
    """Of twenty: two known pictures, one missing and one that is none, each at an address of its own."""
    names = [predict.mixed_name(["a.jpg"], number) for number in range(40)]
    assert sorted(set(names)) == [
        "a.jpg", "a.jpg?0", "a.jpg?10", "a.jpg?20", "a.jpg?30", "broken.jpg?11", "broken.jpg?31", "missing-1.jpg",
        "missing-21.jpg",
    ]  # fmt: skip
    assert names.count("a.jpg") == 32


def test_an_empty_answer_is_no_fast_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a suggestion is missing from a warm cache, there is no time to report."""
    monkeypatch.setattr(predict.Client, "ask", lambda _, body: (0.001, [[]] if body == b"empty" else ["one"]))
    assert predict.by_clients(1, [b"good"] * 9, complete=True) == [0.001] * 9
    with pytest.raises(SystemExit, match="1 of 2 requests got no suggestion"):
        predict.by_clients(1, [b"good", b"empty"], complete=True)
    assert len(predict.by_clients(1, [b"good", b"empty"])) == 2

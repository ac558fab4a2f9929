import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import FetchError
from ml_backend.embedding.gather import ImageRef
from ml_backend.finetune.image_squares import ImageSquares
from ml_backend.finetune.tuning_folder import TuningError
from ml_backend.images.decoding import ImageLimits


def png(shade: int, size: tuple[int, int] = (10, 6)) -> bytes:
    """A grey picture."""
    file = io.BytesIO()
    Image.new("RGB", size, (shade, shade, shade)).save(file, "PNG")
    return file.getvalue()


PAGES = {f"/{shade}.png": png(shade) for shade in range(0, 250, 10)}


def fetch(url: str, _task_id: int) -> bytes:
    """The picture at an address."""
    if url not in PAGES:
        raise FetchError("missing")
    return PAGES[url]


def squares(side: int = 4) -> ImageSquares:
    """What prepares them."""
    return ImageSquares(fetch, ImageLimits(), side, fetch_threads=3, decode_threads=2)


def test_images_lie_one_after_the_other_in_the_order_in_which_they_were_asked_for(tmp_path: Path) -> None:
    """Each is a square of its picture's middle; the advance counts all of them."""
    refs = [ImageRef(shade, "image", f"/{shade}.png") for shade in range(0, 250, 10)]
    positions: list[int] = []
    done = squares().write(refs, tmp_path / "images", positions.append)
    assert done.refs == refs
    assert len(set(done.contents)) == 25
    assert positions == list(range(1, 26))
    stored = np.fromfile(tmp_path / "images", dtype=np.uint8).reshape(25, 3, 4, 4)
    assert (stored == np.arange(0, 250, 10)[:, None, None, None]).all()


def test_images_that_cannot_be_read_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with its reason, and the others stay in their order."""
    monkeypatch.setitem(PAGES, "/cut.png", PAGES["/10.png"][:50])
    urls = ["/0.png", "/gone.png", "/cut.png", None, "/20.png"]
    refs = [ImageRef(number, "image", url) for number, url in enumerate(urls)]
    done = squares().write(refs, tmp_path / "images")
    assert [ref.task_id for ref in done.refs] == [0, 4]
    assert done.failures == Counter({"missing": 1, "truncated": 1, "no_url": 1})
    assert np.fromfile(tmp_path / "images", dtype=np.uint8).reshape(2, -1)[:, 0].tolist() == [0, 20]


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_fetched(tmp_path: Path) -> None:
    """The message says how much there is, how much it takes, and what to do."""
    refs = [ImageRef(1, "image", "/0.png")] * 3
    with pytest.raises(TuningError, match=r"GB free, and the prepared images.* make room, or take fewer images"):
        squares(10_000_000).write(refs, tmp_path / "images")
    assert list(tmp_path.iterdir()) == []

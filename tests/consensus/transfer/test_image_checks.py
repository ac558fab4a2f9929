import hashlib
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_images import slow_jpeg, slow_ppm

from common.images.workers import Workers
from consensus.transfer import image_checks
from consensus.transfer.image_checks import CheckedImage, UnusableImageError, check_image, image_workers

sys.path.insert(0, str(Path(__file__).parent))
from made_images import make_image


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """The processes that decode."""
    with image_workers(1) as made:
        yield made


@pytest.mark.parametrize(
    ("form", "ending"), [("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp"), ("GIF", ".gif")]
)
def test_an_image_that_opens(tmp_path: Path, workers: Workers, form: str, ending: str) -> None:
    """Its checksum is that of the file, its ending that of its format, whatever it is called."""
    path = make_image(tmp_path / "image.dat", 1, form)
    content = path.read_bytes()
    expected = CheckedImage(hashlib.sha256(content).hexdigest(), len(content), 8, 8, ending)
    assert check_image(path, workers) == expected


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_an_image_that_is_cut_off(tmp_path: Path, workers: Workers, form: str) -> None:
    """Its header is whole, and still it does not open."""
    path = make_image(tmp_path / "image.dat", 1, form)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UnusableImageError, match="it does not open"):
        check_image(path, workers)


def header_of(width: int, height: int) -> bytes:
    """A PNG file that says that it has that size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    content = b"IDAT" + bytes(64)
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 64) + content + struct.pack(">I", zlib.crc32(content))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file has 0 bytes"),
        (b"<html>", "no image that Pillow reads"),
        (header_of(9_000, 9_900), "9000 x 9900 pixels"),
        (header_of(40_000, 10), "40000 x 10 pixels"),
        (slow_ppm(), "PPM is shown by no browser"),
        (b"%PDF-1.7", "PDF is shown by no browser"),
        (header_of(60_000, 60_000), "it does not open: Image size"),
    ],
)
def test_what_is_no_image_or_too_large(tmp_path: Path, workers: Workers, content: bytes, sentence: str) -> None:
    """Said in words, and before anything is decoded."""
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(UnusableImageError, match=sentence):
        check_image(path, workers)


def test_files_that_are_not_there_or_too_large(
    tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system says is passed on."""
    with pytest.raises(UnusableImageError, match="cannot be read: No such file"):
        check_image(tmp_path / "none.png", workers)
    monkeypatch.setattr(image_checks, "LARGEST_FILE", 10)
    with pytest.raises(UnusableImageError, match="1 to 10 are taken"):
        check_image(make_image(tmp_path / "1.png"), workers)


def test_an_image_that_takes_too_long_is_left_out(tmp_path: Path) -> None:
    """It costs the limit of time, and no more."""
    path = tmp_path / "image.jpg"
    path.write_bytes(slow_jpeg(10_000))
    with (
        Workers(1, cpu_s=0.2, memory_bytes=2 * 10**9) as workers,
        pytest.raises(UnusableImageError, match="it takes more than 20 s to decode"),
    ):
        check_image(path, workers)

import io
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hostile_images import slow_ppm
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from common.errors import ImageRejectedError
from ml_backend.images.decoding import ImageLimits, decode

ROOT = Path(__file__).resolve().parents[3]


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The file of a picture."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"])
def test_every_common_format_becomes_rgb(kind: str) -> None:
    """A red picture is red in every format."""
    image = decode(encoded(Image.new("RGB", (4, 2), "red"), kind))
    red, green, blue = image.getpixel((1, 1))
    assert (image.mode, image.size) == ("RGB", (4, 2))
    assert red > 250
    assert max(green, blue) < 6


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    """Grey, palette, transparent, CMYK and 16-bit pictures are understood."""
    image = Image.new("RGB", (4, 4), "white").convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 4), 65535, dtype=np.uint16))
    assert decode(encoded(image, "TIFF")).getpixel((2, 2)) == (255, 255, 255)


def test_16_bits_are_scaled_not_clipped() -> None:
    """A grey of half of 16 bits is a grey of half of 8 bits."""
    image = Image.fromarray(np.full((2, 2), 0x8000, dtype=np.uint16))
    assert decode(encoded(image, "PNG")).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize(
    ("values", "grey"),
    [
        (np.array([[0, 2048, 4095]], dtype=np.uint16), [0, 128, 255]),
        (np.array([[0, 100, 255]], dtype=np.int32), [0, 100, 255]),
        (np.array([[0, 0.5, 1]], dtype=np.float32), [0, 128, 255]),
        (np.array([[-5, 100, np.nan, np.inf, 255]], dtype=np.float32), [0, 100, 0, 0, 255]),
        (np.zeros((1, 2), dtype=np.float32), [0, 0]),
    ],
)
def test_grey_values_are_scaled_by_the_range_they_use(values: np.ndarray, grey: list[int]) -> None:
    """12 bits in a file of 16, 8 in one of 32, fractions, and values that are no number."""
    image = decode(encoded(Image.fromarray(values), "TIFF"))
    assert [image.getpixel((x, 0))[0] for x in range(image.width)] == grey


MEMORY = """
import resource, sys
from ml_backend.images.decoding import decode
content = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
decode(content)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def grown(body: bytes) -> int:
    """Megabytes that decoding a file adds to the memory of a fresh program at its highest."""
    shown = subprocess.run([sys.executable, "-c", MEMORY], cwd=ROOT, input=body, capture_output=True, check=True)
    return int(shown.stdout)


def test_a_large_picture_of_16_bits_takes_little_memory() -> None:
    """16 million pixels of 16 bits take the picture and its values, 32 MB each, and its greys."""
    values = np.full((4000, 4000), 4095, dtype=np.uint16)
    assert grown(encoded(Image.fromarray(values), "PNG", compress_level=1)) < 130


def test_a_large_transparent_picture_takes_little_memory() -> None:
    """16 million half transparent pixels take the picture itself and the result, 64 MB each, and little more."""
    body = encoded(Image.new("LA", (4000, 4000), (0, 128)), "PNG", compress_level=1)
    assert grown(body) < 180


@pytest.mark.parametrize("height", [255, 256, 257, 513])
def test_strips_have_no_seams(height: int) -> None:
    """A half transparent black picture of any height is of one grey."""
    image = decode(encoded(Image.new("RGBA", (3, height), (0, 0, 0, 128)), "PNG"))
    assert image.size == (3, height)
    assert image.getcolors() == [(3 * height, (127, 127, 127))]


def test_transparent_pixels_are_white() -> None:
    """What is transparent looks as it does in a browser."""
    assert decode(encoded(Image.new("RGBA", (2, 2), (0, 0, 0, 0)), "PNG")).getpixel((0, 0)) == (255, 255, 255)


def test_exif_orientation_is_honoured() -> None:
    """A picture that its EXIF data says is turned by 90 degrees comes out upright."""
    image = Image.new("RGB", (6, 2), "white")
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(image, "JPEG", exif=exif)).size == (2, 6)


def test_only_the_first_frame_of_an_animation_counts() -> None:
    """An animation is its first picture."""
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")]
    red, _, blue = decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])).getpixel((0, 0))
    assert (red, blue) == (255, 0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "svg"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn --><svg/>", "svg"),
        (b"\n<!DOCTYPE html><title>Log in</title><svg/>", "html_page"),
        (b"Not found: <svg> and <html>", "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "format_eps"),
        (b"x" * 101, "too_many_bytes"),
    ],
)
def test_what_is_no_picture_has_a_reason(body: bytes, reason: str) -> None:
    """Text, vector graphics and too many bytes are refused, each with its code."""
    with pytest.raises(ImageRejectedError) as refused:
        decode(body, ImageLimits(max_bytes=100))
    assert refused.value.reason == reason


def test_pixels_are_counted_before_decoding() -> None:
    """A header that claims too many pixels is refused although no pixel follows it."""
    header = encoded(Image.new("1", (101, 100)), "PNG")[:60]
    with pytest.raises(ImageRejectedError) as refused:
        decode(header, ImageLimits(max_pixels=10_000))
    assert refused.value.reason == "too_many_pixels"


@pytest.mark.parametrize("pixels", [100_000_000, 400_000_000])
def test_decompression_bombs_are_refused(pixels: int) -> None:
    """What Pillow calls a bomb, by warning or by error, is too many pixels."""
    bomb = bytearray(encoded(Image.new("1", (8, 8)), "BMP"))
    bomb[18:22] = (pixels // 10_000).to_bytes(4, "little")
    bomb[22:26] = (10_000).to_bytes(4, "little")
    with pytest.raises(ImageRejectedError) as refused:
        decode(bytes(bomb))
    assert refused.value.reason == "too_many_pixels"


def test_a_picture_cut_in_half_is_truncated() -> None:
    """A download that broke off is no picture."""
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    body = encoded(Image.fromarray(noise), "PNG")
    with pytest.raises(ImageRejectedError) as refused:
        decode(body[: len(body) // 2])
    assert refused.value.reason == "truncated"


WHOLE = encoded(Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)), "PNG")


@pytest.mark.parametrize(
    ("size", "decoded"),
    [
        ((1600, 1200), (400, 300)),
        ((1200, 2048), (300, 512)),
        ((4096, 2048), (512, 256)),
        ((511, 600), (511, 600)),
        ((512, 513), (256, 257)),
        ((100, 90), (100, 90)),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_large_jpeg_is_decoded_as_small_as_is_enough(
    size: tuple[int, int], decoded: tuple[int, int], mode: str
) -> None:
    """A JPEG of any mode comes at an eighth, a fourth or a half, and its shorter side is never below 256."""
    body = encoded(Image.new(mode, size, "white" if mode != "CMYK" else (0, 0, 0, 0)), "JPEG")
    image = decode(body, short_side=256)
    assert (image.mode, image.size) == ("RGB", decoded)
    assert min(image.getpixel((3, 3))) > 250


def test_a_small_decoding_is_turned_too() -> None:
    """A JPEG that is decoded at a half comes out upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(Image.new("RGB", (800, 600)), "JPEG", exif=exif), short_side=256).size == (300, 400)


def test_other_formats_keep_their_size() -> None:
    """Only JPEG can be decoded at a part of its size."""
    assert decode(encoded(Image.new("RGB", (800, 600)), "PNG"), short_side=100).size == (800, 600)


def test_the_limit_of_pixels_is_of_the_file_not_of_what_is_decoded() -> None:
    """A JPEG over the limit is refused although an eighth of it would be small."""
    body = encoded(Image.new("L", (800, 800)), "JPEG")
    with pytest.raises(ImageRejectedError) as refused:
        decode(body, ImageLimits(max_pixels=639_999), short_side=100)
    assert refused.value.reason == "too_many_pixels"


def test_a_jpeg_cut_in_half_is_truncated_when_decoded_small() -> None:
    """Less than the whole file is no picture, however small it is wanted."""
    noise = np.random.default_rng(0).integers(0, 255, (800, 800, 3), dtype=np.uint8)
    body = encoded(Image.fromarray(noise), "JPEG")
    with pytest.raises(ImageRejectedError) as refused:
        decode(body[: len(body) // 2], short_side=100)
    assert refused.value.reason == "truncated"


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_no_damage_raises_anything_else(position: int, value: int) -> None:
    """Whatever byte is damaged, the answer is an RGB picture or a reason."""
    damaged = bytearray(WHOLE)
    damaged[position] = value
    try:
        outcome = decode(bytes(damaged)).mode
    except ImageRejectedError as refused:
        outcome = refused.reason
    assert outcome in {"RGB", "not_an_image", "damaged", "truncated", "too_many_pixels"}


def noise(size: tuple[int, int] = (300, 200)) -> Image.Image:
    """A picture that no row of is grey."""
    values = np.random.default_rng(0).integers(0, 255, (size[1] // 10, size[0] // 10, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(size)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("short_side", [None, 50])
def test_a_jpeg_without_its_last_bytes_is_shown(
    mode: str, options: dict[str, bool], short_side: int | None
) -> None:
    """As browsers show it: what is there is as in the whole file."""
    body = encoded(noise().convert(mode), "JPEG", **options)
    whole = np.asarray(decode(body, short_side=short_side), dtype=int)
    for missing in (1, 2, 60):
        cut = np.asarray(decode(body[:-missing], short_side=short_side), dtype=int)
        assert abs(cut - whole)[: int(0.9 * len(whole))].max() <= (40 if "progressive" in options else 0)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_jpeg_of_which_more_is_missing_is_truncated(share: float) -> None:
    """Nobody should judge a picture by a part of it."""
    body = encoded(noise(), "JPEG")
    with pytest.raises(ImageRejectedError) as refused:
        decode(body[: int((1 - share) * len(body))])
    assert refused.value.reason == "truncated"


def tiff(samples: int, bits: int, kind: int) -> bytes:
    """A TIFF of one pixel with so many values of a kind: 1 whole, 3 floating point."""
    entries = [(256, 1), (257, 1), (258, bits), (259, 1), (262, 1), (273, 8), (277, samples), (278, 1)]
    entries += [(279, samples * bits // 8), (339, kind)]
    head = b"II*\0" + (8 + 40).to_bytes(4, "little") + bytes(40)
    directory = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries)
    return head + struct.pack("<H", len(entries)) + directory + bytes(4)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "format_heic"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "format_heic"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "format_video"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "damaged"),
        (tiff(5, 8, 1), "unsupported_pixels"),
        (tiff(3, 32, 3), "unsupported_pixels"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2\nsize 12345\n", "git_lfs_pointer"),
        (b"<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code></Error>", "xml_error"),
        (b'{"detail": "Not found."}', "json"),
        (b"[]", "json"),
        (b'[{"a": 1},' * 1000, "json"),
        (b"{curly", "not_an_image"),
        (b"P3\n10 10\n255\n" + b"#\n" * 100, "format_ppm"),
        (b"P6 1 1 255 abc", "format_ppm"),
        (b"\0\0\1\0\1\0" + bytes(50), "format_ico"),
        (bytes(4) + b"\x11\xaf" + bytes(200), "format_fli"),
        (b"%PDF-1.7", "format_pdf"),
        (b"8BPS\0\1", "format_psd"),
        (bytes(128) + b"DICM", "format_dicom"),
        (b"PK\3\4", "format_zip"),
        (b"\x89PNG\r\n\x1a\n" + b"\xff" * 50, "damaged"),
        (b"GIF89a", "damaged"),
        (b"RIFF\0\1\0\0WEBPVP8 ", "damaged"),
    ],
)
def test_what_lies_in_place_of_an_image_is_named(body: bytes, reason: str) -> None:
    """Each kind has a reason of its own, by which a person knows what to do."""
    with pytest.raises(ImageRejectedError) as refused:
        decode(body)
    assert refused.value.reason == reason


def test_formats_that_nobody_uploads_are_refused_at_once() -> None:
    """Comments of megabytes before a picture of ten pixels are not read."""
    body, began = slow_ppm(), time.process_time()
    with pytest.raises(ImageRejectedError, match="format_ppm"):
        decode(body)
    assert time.process_time() - began < 1

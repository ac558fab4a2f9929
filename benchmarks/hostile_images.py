"""Small image files that take long to decode: what somebody may put into a project, for tests and benchmarks."""

import io
import struct

from PIL import Image

_LONGEST_RUN = 32_767  # blocks that one code of a progressive JPEG skips


def slow_jpeg(scans: int, side: int = 6000) -> bytes:
    """Make a grey progressive JPEG of which each scan goes through all blocks and changes none.

    A thousand scans of 36 megapixels are 64 kB and take some seconds; ten thousand are 640 kB and take a minute.
    """
    blocks = ((side + 7) // 8) ** 2
    codes = "".join(f"0{run & 0x3FFF:014b}" for run in _runs(blocks))
    codes += "1" * (-len(codes) % 8)
    data = int(codes, 2).to_bytes(len(codes) // 8).replace(b"\xff", b"\xff\0")
    scan = _segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + data
    table = bytes([0x10, 1, *[0] * 15, 0xE0])  # one code of one bit: the end of 16,384 blocks and more
    frame = struct.pack(">BHHB", 8, side, side, 1) + bytes([1, 0x11, 0])
    head = _segment(0xDB, bytes([0, *[1] * 64])) + _segment(0xC2, frame) + _segment(0xC4, table)
    return b"\xff\xd8" + head + scan * scans + b"\xff\xd9"


def slow_ppm(comments: int = 2_000_000) -> bytes:
    """Make a picture of ten by ten pixels behind two bytes a comment."""
    return b"P3\n10 10\n255\n" + b"#\n" * comments + b"1 " * 300


def deep_png(megabytes: int = 200) -> bytes:
    """Make a PNG whose text unpacks to so many megabytes, from a thousandth of it."""
    import zlib  # noqa: PLC0415

    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    content = file.getvalue()
    packed = zlib.compress(bytes(megabytes * 1_000_000), 9)
    chunk = b"zTXt" + b"a\0\0" + packed
    text = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return content[:33] + text * 20 + content[33:]


def _runs(blocks: int) -> list[int]:
    """Part blocks into runs of 16,384 to 32,767, the last of which may reach beyond the end."""
    return [_LONGEST_RUN] * -(-blocks // _LONGEST_RUN)


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content

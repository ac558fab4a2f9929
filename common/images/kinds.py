"""What a file is by its first bytes, so that a person is told what lies in place of an image."""

import json

DECODED = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP", "AVIF")
"""By Pillow's names: what browsers show, and TIFF. AVIF comes last: Pillow before 11.3 does not know it."""

_START = 2048  # bytes in which a text shows what it is
_BOM = b"\xef\xbb\xbf"
_LFS = b"version https://git-lfs.github.com/spec/"
# Formats that are not decoded: no browser shows them, or they are programs and containers of other files.
_BEGINNINGS = {
    b"%!PS": "eps",
    b"\xc5\xd0\xd3\xc6": "eps",
    b"%PDF-": "pdf",
    b"\0\0\1\0": "ico",
    b"\0\0\2\0": "ico",
    b"icns": "icns",
    b"8BPS": "psd",
    b"\0\0\0\x0cjP  ": "jpeg2000",
    b"\xff\x4f\xff\x51": "jpeg2000",
    b"\0\0\0\x0cJXL ": "jpeg_xl",
    b"\xff\x0a": "jpeg_xl",
    b"DDS ": "dds",
    b"\x01\xda": "sgi",
    b"/* XPM */": "xpm",
    b"\x76\x2f\x31\x01": "openexr",
    b"#?RADIANCE": "hdr",
    b"SIMPLE  =": "fits",
    b"\x89HDF\r\n": "hdf5",
    b"\x93NUMPY": "numpy",
    b"AT&TFORM": "djvu",
    b"II\x2b\0": "big_tiff",
    b"MM\0\x2b": "big_tiff",
    b"PK\x03\x04": "zip",
    b"\x1f\x8b": "gzip",
    b"Rar!": "rar",
    b"7z\xbc\xaf": "7z",
}
_IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_DICOM_AT = 128


def refusal_of(content: bytes) -> str:
    """Return the reason why a file that no decoder opens is no image that can be shown.

    Returns
    -------
    str
        ``format_<name>`` for a format that is not decoded, ``damaged`` for one that is; ``svg``, ``html_page``
        (often that of a login), ``xml_error`` (as storages answer), ``json``, ``git_lfs_pointer``, or
        ``not_an_image``.

    Examples
    --------
    >>> refusal_of(b"%PDF-1.7"), refusal_of(b"<html>"), refusal_of(b"GIF89a")
    ('format_pdf', 'html_page', 'damaged')
    """
    if name := _format_of(content):
        return f"format_{name}"
    is_webp, is_avif = content[:4] == b"RIFF" and content[8:12] == b"WEBP", content[4:8] == b"ftyp"
    if content.startswith(_IMAGES) or is_webp or is_avif:
        return "damaged"
    return _text_of(content)


def _text_of(content: bytes) -> str:
    text = content[:_START].removeprefix(_BOM).lstrip()
    if text.startswith(_LFS):
        return "git_lfs_pointer"
    lower = text.lower()
    if lower.startswith((b"<!doctype html", b"<html")):
        return "html_page"
    if lower.startswith(b"<"):
        return "svg" if b"<svg" in lower else "xml_error" if b"<error" in lower else "not_an_image"
    return "json" if _is_json(content, text) else "not_an_image"


def _format_of(content: bytes) -> str:
    for beginning, name in _BEGINNINGS.items():
        if content.startswith(beginning):
            return name
    if content[:1] == b"P" and content[1:2] in b"1234567" and content[2:3] in (b" ", b"\t", b"\r", b"\n", b"#"):
        return "ppm"
    if content[4:6] in (b"\x11\xaf", b"\x12\xaf"):
        return "fli"
    if content[4:8] == b"ftyp":
        brands = content[8 : min(int.from_bytes(content[:4]), _START)]
        if any(brand in brands for brand in _AVIF_BRANDS):
            return ""
        return "heic" if content[8:12] in _HEIF_BRANDS else "video"
    return "dicom" if content[_DICOM_AT : _DICOM_AT + 4] == b"DICM" else ""


def _is_json(content: bytes, text: bytes) -> bool:
    if not text.startswith((b"{", b"[")):
        return False
    if len(content) > _START:  # not read to its end, which may be far
        return text[1:].lstrip()[:1] in (b'"', b"{", b"[")
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True

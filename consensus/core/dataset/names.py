"""Names of folders and files that every system takes, and that lead nowhere else."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from itertools import chain, count
from urllib.parse import unquote

MARKER = ".consensus-export"
"""File by which an export knows a folder as made by an earlier one, and an import its names as escaped."""
BESIDE = ("README.md", "left-out.csv", "labels.csv")
"""Files beside the folders of labels."""
RESERVED = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))}
"""Names that Windows keeps for devices, with any ending."""
FORBIDDEN = frozenset('%/\\:*?"<>|')
ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".svg", ".tif", ".tiff", ".webp")
"""Of files that are taken for images."""
LONGEST = 180
"""Bytes of a name; file systems take 255, and a number and an ending come behind it."""

_LOCAL_FILE = re.compile(r"^[^?]*/data/local-files/\?(?:[^#]*&)?d=")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")


def safe_name(text: str, n_escaped: int = 0) -> str:
    r"""Write a text as a name; `original_name` reads it back unless it was too long.

    Parameters
    ----------
    n_escaped : int
        So many letters are escaped at least.

    Examples
    --------
    >>> safe_name("../etc/passwd"), safe_name("a: b"), safe_name("CON"), safe_name("Früh")
    ('%2E.%2Fetc%2Fpasswd', 'a%3A b', '%43ON', 'Früh')
    >>> original_name(safe_name("Theca/test 100%."))
    'Theca/test 100%.'
    """
    if not text:
        return "%"
    device = text.partition(".")[0].rstrip().casefold() in RESERVED
    escaped = {
        *range(n_escaped),
        *([0] if device or text[0] in " .-~" else []),
        *([-1] if text[-1] in " ." else []),
    }
    positions = {position % len(text) for position in escaped}
    letters = [
        _escaped(letter) if position in positions or _is_forbidden(letter) else letter
        for position, letter in enumerate(text)
    ]
    name = "".join(letters)
    if len(name.encode()) <= LONGEST:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{_cut(letters, LONGEST - 13)}~{digest}"


def original_name(name: str) -> str:
    """Return the text that `safe_name` wrote."""
    return "" if name == "%" else unquote(name, errors="surrogatepass")


def folder_names(labels: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Name a folder for each label; names differ also where case and composition of letters make no difference.

    Of labels that differ in case alone all but the first have letters escaped, which `original_name` reads back.

    Parameters
    ----------
    labels : iterable of str
        All of them: in whatever order, each gets the same name.
    taken : iterable of str
        Names of files beside the folders.

    Examples
    --------
    >>> names = folder_names(["cat", "Cat", "README.md"], ["README.md"])
    >>> names["Cat"], names["cat"], names["README.md"]
    ('Cat', '%63at', '%52EADME.md')
    """
    used, names = {_folded(name) for name in taken}, {}
    for label in sorted(set(labels)):
        spellings = (safe_name(label, n_escaped) for n_escaped in range(len(label) + 1))
        numbered = (f"{safe_name(label)}~{number}" for number in count(2))
        names[label] = next(name for name in chain(spellings, numbered) if _folded(name) not in used)
        used.add(_folded(names[label]))
    return names


class FileNames:
    """Names of files in folders: of names that are there already, each further one gets a number.

    Examples
    --------
    >>> names = FileNames()
    >>> names.add("cat", "photo", ".jpg"), names.add("cat", "Photo", ".JPG"), names.add("dog", "photo", ".jpg")
    ('photo.jpg', 'Photo-2.JPG', 'photo.jpg')
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}  # number that a name got last, by folder and name

    def add(self, folder: str, stem: str, ending: str) -> str:
        """Return a name that no other file of the folder has."""
        name = f"{stem}{ending}"
        place = first = folder, _folded(name)
        number = self._last.get(first, 1)
        while place in self._last:
            number += 1
            name = f"{stem}-{number}{ending}"
            place = folder, _folded(name)
        self._last |= {place: 1, first: number}
        return name


def _escaped(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))


def _is_forbidden(letter: str) -> bool:
    return letter in FORBIDDEN or unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _cut(letters: list[str], n_bytes: int) -> str:
    """Return so many letters as fit."""
    cut = ""
    for letter in letters:
        if len((cut + letter).encode()) > n_bytes:
            break
        cut += letter
    return cut


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def file_name(address: str) -> tuple[str, str]:
    """Return the name of an image's file by its address or path, and its ending; "" where there is none.

    What Label Studio puts before the name of an upload is left out.

    Examples
    --------
    >>> file_name("/data/upload/7/0a1b2c3d-my%20cat.JPG"), file_name("s3://bucket/a/b.png"), file_name("http://h/x?y=1")
    (('my cat', '.JPG'), ('b', '.png'), ('x', ''))
    >>> file_name("/data/local-files/?d=photos/a:b.png"), file_name("http://h/..%2F..%2Fetc/")
    (('a%3Ab', '.png'), ('etc', ''))
    """
    address = address.strip()
    path = _LOCAL_FILE.sub("", address).partition("#")[0]
    path = unquote(path if path != address else path.partition("?")[0])
    name = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    if "/data/upload/" in address:
        name = _UPLOADED.sub("", name)
    stem, dot, ending = name.rpartition(".")
    if not dot or f".{ending}".lower() not in ENDINGS:
        stem, ending = name, ""
    return safe_name(stem or "image"), f".{ending}" if ending else ""

"""What was learned, as bytes: for a file or the store."""

import io
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.files import write_whole
from consensus.core.arrays import Names
from consensus.core.model.confusion_matrices import ConfusionMatrices
from consensus.core.model.warm_start import WarmStart
from consensus.errors import VotesError

FORMAT = 2


def packed(start: WarmStart) -> bytes:
    """Write what was learned as the bytes of an .npz file."""
    confusion = start.confusion
    written = io.BytesIO()
    np.savez_compressed(
        written,
        format=FORMAT,
        annotators=_as_text(start.annotators),
        classes=_as_text(start.classes),
        basis=np.asarray(start.basis),
        table=confusion.table,
        prevalence=confusion.prevalence,
        accuracy=confusion.accuracy,
        evidence=confusion.evidence,
        fixed=start.fixed,
        numbers=np.array([confusion.strength, confusion.own_strength, start.correlation, start.votes]),
        sharpness=np.nan if start.sharpness is None else start.sharpness,
    )
    return written.getvalue()


def _as_text(names: Names) -> NDArray[np.uint8]:
    """Names as text: a numpy array of them would be as wide as the longest, and cut zeros off."""
    return np.frombuffer(json.dumps([str(name) for name in names]).encode(), dtype=np.uint8)


def _as_names(text: NDArray[np.uint8]) -> Names:
    return np.array([*json.loads(text.tobytes()), None], dtype=object)[:-1]


def unpacked(written: bytes) -> WarmStart:
    """Read what `packed` wrote.

    Raises
    ------
    ValueError
        Where the bytes are something else.
    """
    try:
        with np.load(io.BytesIO(written), allow_pickle=False) as columns:
            stored = {name: columns[name] for name in columns.files}
        if int(stored["format"]) != FORMAT:
            raise ValueError("of another format")
        strength, own_strength, correlation, votes = stored["numbers"].tolist()
        sharpness = float(stored.get("sharpness", np.nan))
        confusion = ConfusionMatrices(
            stored["table"], stored["prevalence"], stored["accuracy"], stored["evidence"], strength, own_strength
        )
        annotators, classes = _as_names(stored["annotators"]), _as_names(stored["classes"])
        basis = str(stored["basis"])
        n, n_classes = len(annotators), len(classes)
        shapes = confusion.table.shape, confusion.evidence.shape, confusion.accuracy.shape, stored["fixed"].shape
        if shapes != ((n, n_classes, n_classes), (n, n_classes), (n,), (n,)):
            raise ValueError("of columns that do not belong together")
    except (OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(type(error).__name__) from None
    fixed = stored["fixed"].astype(bool)
    learned = None if np.isnan(sharpness) else sharpness
    return WarmStart(confusion, correlation, fixed, annotators, classes, int(votes), basis, learned)


def write_start(start: WarmStart, path: Path) -> None:
    """Write a state file, whole or not at all.

    Raises
    ------
    VotesError
        Where it cannot be written.
    """
    try:
        write_whole(path, packed(start))
    except OSError as error:
        raise VotesError(f"{path} cannot be written: {error.strerror}") from None


def read_start(path: Path) -> WarmStart | None:
    """Read a state file; None where there is none yet.

    Raises
    ------
    VotesError
        Where the file is there and cannot be used.
    """
    try:
        return unpacked(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise VotesError(
            f"{path} cannot be read as what an earlier run learned ({reason}); delete it and the run starts afresh"
        ) from None

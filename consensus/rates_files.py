"""What was learned, as bytes: for a file or the store."""

import io
import zipfile
from pathlib import Path

import numpy as np

from consensus.core.rates import Rates
from consensus.core.warm import Start
from consensus.errors import VotesError

FORMAT = 1


def packed(start: Start) -> bytes:
    """Write what was learned as the bytes of an .npz file."""
    rates = start.rates
    written = io.BytesIO()
    np.savez_compressed(
        written,
        format=FORMAT,
        annotators=np.asarray(start.annotators, dtype=str),
        classes=np.asarray(start.classes, dtype=str),
        table=rates.table,
        prevalence=rates.prevalence,
        accuracy=rates.accuracy,
        evidence=rates.evidence,
        strengths=np.array([rates.strength, rates.own_strength]),
    )
    return written.getvalue()


def unpacked(written: bytes) -> Start:
    """Read what `packed` wrote.

    Raises
    ------
    ValueError
        Where the bytes are something else.
    """
    try:
        with np.load(io.BytesIO(written), allow_pickle=False) as columns:
            found = {name: columns[name] for name in columns.files}
        if int(found["format"]) != FORMAT:
            raise ValueError("of another format")
        strength, own_strength = found["strengths"].tolist()
        rates = Rates(
            found["table"], found["prevalence"], found["accuracy"], found["evidence"], strength, own_strength
        )
        annotators, classes = found["annotators"].astype(object), found["classes"].astype(object)
        n_annotators, n_classes = len(annotators), len(classes)
        if rates.table.shape != (n_annotators, n_classes, n_classes) or rates.evidence.shape != (
            n_annotators,
            n_classes,
        ):
            raise ValueError("of columns that do not belong together")
    except (OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ValueError(type(error).__name__) from None
    return Start(rates, annotators, classes)


def read_start(path: Path) -> Start | None:
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

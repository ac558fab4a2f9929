"""Stand-ins for networks of image and text: they see the mean colour, and know the names of three colours.

Registered by ``install`` as a package would be: ``colour_words`` knows texts, ``colours`` does not.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml_backend.embedding import plugged

NAMES = ("red", "green", "blue")


class Colours:
    """An embedder of the mean colour."""

    weights_id = "1"
    short_side = 8

    def prepare(self, image: Image.Image) -> Any:  # noqa: ANN401 - an array
        """Scale it down."""
        return np.asarray(image.resize((8, 8)), dtype=np.float32) / 255

    def embed(self, prepared: Sequence[Any]) -> Any:  # noqa: ANN401
        """The mean colour."""
        return np.stack(prepared).mean(axis=(1, 2))


class ColourWords(Colours):
    """One that knows the names of colours, and compares them by a sigmoid."""

    weights_id = "2"
    logit_scale, logit_bias = 10.0, -7.0

    def embed(self, prepared: Sequence[Any]) -> Any:  # noqa: ANN401
        """The mean colour, with length 1."""
        means = super().embed(prepared) + 1e-3
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def embed_texts(self, texts: Sequence[str]) -> Any:  # noqa: ANN401
        """The colours that a text names; grey where it names none."""
        named = np.array([[name in text.lower() for name in NAMES] for text in texts], dtype=np.float32)
        named[~named.any(axis=1)] = 1
        return named / np.linalg.norm(named, axis=1, keepdims=True)


class LearnedWithSoftmax(ColourWords):
    """One that compares texts with one another only."""

    logit_bias = None


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register both as an installed package does."""
    (folder / "colour_words-1.dist-info").mkdir(parents=True)
    (folder / "colour_words-1.dist-info" / "METADATA").write_text("Name: colour-words\nVersion: 1\n")
    (folder / "colour_words-1.dist-info" / "entry_points.txt").write_text(
        "[ml_backend.embedders]\ncolours = colour_words:Colours\ncolour_words = colour_words:ColourWords\n"
        "softmax_words = colour_words:LearnedWithSoftmax\n"
    )
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setitem(sys.modules, "colour_words", sys.modules[__name__])
    plugged._registered.cache_clear()

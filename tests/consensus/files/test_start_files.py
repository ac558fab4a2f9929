"""What was learned, as bytes."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from consensus.core.model.confusion_matrices import ConfusionMatrices
from consensus.core.model.warm_start import WarmStart
from consensus.errors import VotesError
from consensus.files.start_files import packed, read_start, unpacked

ANNOTATORS = np.array(["a1", "größer", "日本"], dtype=object)
LABELS = np.array(["cat", "dog"], dtype=object)


def start(annotators: np.ndarray = ANNOTATORS) -> WarmStart:
    """What was learned of three annotators and two labels, under some names."""
    return WarmStart(
        learned(), 0.25, np.array([False, True, False]), annotators, LABELS, 1234, "default; größer=0.5"
    )


def learned() -> ConfusionMatrices:
    """Some rates of three annotators and two labels."""
    table = np.random.default_rng(0).dirichlet((3.0, 1.0), (3, 2))
    return ConfusionMatrices(table, np.array([0.3, 0.7]), np.array([0.9, 0.8, 0.7]), np.ones((3, 2)), 2.5, 9.0)


def test_what_is_written_is_read_back() -> None:
    """Every number and every name survives."""
    confusion = learned()
    read = unpacked(packed(start()))
    found = read.confusion
    assert (read.annotators.tolist(), read.classes.tolist()) == (ANNOTATORS.tolist(), LABELS.tolist())
    assert (read.correlation, read.fixed.tolist(), read.votes) == (0.25, [False, True, False], 1234)
    assert read.basis == "default; größer=0.5"
    assert found.table.tolist() == confusion.table.tolist()
    assert (found.strength, found.own_strength) == (2.5, 9.0)
    assert found.prevalence.tolist() == [0.3, 0.7]
    assert found.accuracy.tolist() == [0.9, 0.8, 0.7]
    assert found.evidence.tolist() == confusion.evidence.tolist()


def test_one_very_long_name_does_not_widen_the_others() -> None:
    """Of two thousand names the longest has 20,000 characters, and one ends in a zero: a megabyte is enough."""
    annotators = np.array(["a\0", "x" * 20_000, *(f"a{at}" for at in range(1998))], dtype=object)
    confusion = ConfusionMatrices(
        np.full((2000, 2, 2), 0.5), np.full(2, 0.5), np.ones(2000), np.ones((2000, 2)), 2.5, 9.0
    )
    tracemalloc.start()
    read = unpacked(packed(WarmStart(confusion, 0.25, np.zeros(2000, dtype=bool), annotators, LABELS, 1234)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert read.annotators.tolist() == annotators.tolist()
    assert peak < 1e6


def test_no_file_is_no_start(tmp_path: Path) -> None:
    """Before the first run there is nothing to read, and that is no error."""
    assert read_start(tmp_path / "state.npz") is None


@pytest.mark.parametrize("written", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_another_file_is_refused(tmp_path: Path, written: bytes) -> None:
    """A file of something else is named, with what to do about it."""
    path = tmp_path / "state.npz"
    path.write_bytes(written)
    with pytest.raises(VotesError, match=r"state\.npz cannot be read .* delete it"):
        read_start(path)


def test_columns_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    """Rates of three annotators under two names are nobody's."""
    path = tmp_path / "state.npz"
    path.write_bytes(packed(start(ANNOTATORS[:2])))
    with pytest.raises(VotesError, match="columns that do not belong together"):
        read_start(path)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    """A file that was not written to its end is refused, not half read."""
    path = tmp_path / "state.npz"
    path.write_bytes(packed(start())[:-40])
    with pytest.raises(VotesError, match="cannot be read"):
        read_start(path)

"""Small made sets of votes, in memory and in files."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from data_sets import CrowdSet


def made_set(n_items: int = 12, n_annotators: int = 4, n_classes: int = 3) -> CrowdSet:
    """Return simulated votes in which annotator 0 is wrong on every third item, and the others are right."""
    item, annotator = (grid.ravel().astype(np.int32) for grid in np.mgrid[:n_items, :n_annotators])
    truth = np.arange(n_items, dtype=np.int32) % n_classes
    slips = (annotator == 0) & (item % 3 == 0)
    sizes = {"t": n_items, "a": n_annotators, "c": n_classes}
    names = [np.array([f"{letter}{i}" for i in range(size)], dtype=object) for letter, size in sizes.items()]
    answer = ((truth[item] + slips) % n_classes).astype(np.int32)
    return CrowdSet("made", item, annotator, answer, truth, names[0][:, None], names[1], names[2])


def write_single(folder: Path, name: str) -> None:
    """Write a set of a single choice; task 007 has no known truth, and nobody chose the label c."""
    (folder / name).mkdir(parents=True)
    (folder / name / "votes.csv").write_text("task,annotator,label\n10,a2,b\n10,a1,a\n007,a1,a\n9,a2,b\n9,a1,b\n")
    (folder / name / "truth.csv").write_text("task,label\n9,b\n10,c\n8,a\n")


def write_yes_no(folder: Path, file: str) -> None:
    """Write a set of questions; t2 cat has unsure votes only."""
    (folder / "real").mkdir(parents=True, exist_ok=True)
    rows = {
        "task": ["t1", "t1", "t1", "t2", "t1", "t2"],
        "label": ["cat", "cat", "dog", "cat", "dog", "dog"],
        "annotator": ["a1", "a2", "a1", "a1", "a2", "a2"],
        "vote": ["yes", "no", "no", "unsure", "unsure", "yes"],
    }
    pyarrow.parquet.write_table(pa.table(rows), folder / "real" / file)
    (folder / "real" / "truth.csv").write_text("task,label,answer\nt1,cat,yes\nt1,dog,no\nt2,cat,no\n")

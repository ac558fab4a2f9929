"""The sets of votes with a known truth that the benchmarks run on: read, in columns.

A folder of sets holds, for each single choice, `<set>/votes.csv` (task, annotator, label) and `<set>/truth.csv`
(task, label); for yes and no, `real/votes.parquet` or `real/raters_golden.parquet` (task, label, annotator, vote)
and `real/truth.csv` (task, label, answer). There the item is the question (task, label); unsure votes are dropped.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from consensus.core.arrays import Codes, Floats, Names
from consensus.core.votes.votes import NO, YES, Votes, encode

UNKNOWN = np.int32(-1)
"""Stands in `truth` for an item whose truth is not known."""
NO_YES = np.array(["no", "yes"], dtype=object)


@dataclass(frozen=True, eq=False)
class CrowdSet:
    """Votes on items, and the truth of some of them.

    Attributes
    ----------
    item, annotator, answer : (n_votes,) int32
        Codes, in the order of the file. An annotator answers an item once.
    truth : (n_items,) int32
        Code of the right answer, or `UNKNOWN`.
    annotator_names, classes : (n_annotators,), (n_classes,) object
    item_names : (n_items, 1 or 2) object
        The task, or the task and the label that the question is about.
    """

    name: str
    item: Codes
    annotator: Codes
    answer: Codes
    truth: Codes
    item_names: Names
    annotator_names: Names
    classes: Names

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.item_names)

    @property
    def n_annotators(self) -> int:
        """Number of annotators."""
        return len(self.annotator_names)

    @property
    def n_classes(self) -> int:
        """Number of answers to choose from."""
        return len(self.classes)

    @property
    def one_hot(self) -> csr_matrix:
        """(n_items, n_annotators * n_classes): 1 where an annotator gave an item an answer."""
        column = self.annotator.astype(np.int64) * self.n_classes + self.answer
        shape = (self.n_items, self.n_annotators * self.n_classes)
        return csr_matrix((np.ones(len(column)), (self.item, column)), shape=shape)

    @property
    def tallies(self) -> Floats:
        """(n_items, n_classes) float64: votes for each answer."""
        key = self.item.astype(np.int64) * self.n_classes + self.answer
        counts = np.bincount(key, minlength=self.n_items * self.n_classes).astype(np.float64)
        return counts.reshape(self.n_items, self.n_classes)

    @property
    def asks_yes_no(self) -> bool:
        """Whether an item is a question about a label, and not a task with a choice."""
        return self.item_names.shape[1] > 1

    @property
    def votes(self) -> Votes:
        """The same votes as the engine takes them: of choice "each" where items are questions."""
        task, label = self.classifications
        yes = np.where(self.answer == 1, YES, NO) if self.asks_yes_no else np.full(len(self.item), YES)
        chosen = 0 if self.asks_yes_no else self.answer
        return Votes(
            choice="each" if self.asks_yes_no else "single",
            task=task[self.item, chosen],
            annotator=self.annotator,
            label=label[self.item, chosen],
            vote=yes.astype(np.int8),
            task_names=encode(self.item_names[:, 0])[1],
            annotator_names=self.annotator_names,
            label_names=encode(self.item_names[:, 1])[1] if self.asks_yes_no else self.classes,
        )

    @property
    def classifications(self) -> tuple[Codes, Codes]:
        """(n_items, n) int32 each: tasks and labels of the engine's classifications of an item.

        Of a question there is one; of a task with a choice, one a class.
        """
        task = encode(self.item_names[:, 0])[0][:, None]
        if self.asks_yes_no:
            return task, encode(self.item_names[:, 1])[0][:, None]
        shape = (self.n_items, self.n_classes)
        return np.broadcast_to(task, shape), np.broadcast_to(np.arange(self.n_classes, dtype=np.int32), shape)


def read_single_choice(folder: Path, name: str) -> CrowdSet:
    """Read a set in which annotators choose one of some labels."""
    votes, truth = _csv(folder / name / "votes.csv"), _csv(folder / name / "truth.csv")
    tasks, item = _codes(votes["task"])
    annotators, annotator = _codes(votes["annotator"])
    classes = np.unique(np.concatenate([_strings(votes["label"]), _strings(truth["label"])]))
    answer, right = (
        np.searchsorted(classes, _strings(table["label"])).astype(np.int32) for table in (votes, truth)
    )
    truth_of_item = _truth(tasks, truth["task"], right)
    return CrowdSet(name, item, annotator, answer, truth_of_item, tasks[:, None], annotators, classes)


def read_yes_no(folder: Path, name: str, file: str) -> CrowdSet:
    """Read a set in which annotators say whether a label is right for a task; drop the unsure votes."""
    table = pq.read_table(folder / "real" / file)
    table = table.filter(pc.is_in(table["vote"].cast(pa.string()), pa.array(["no", "yes"])))
    truth = _csv(folder / "real" / "truth.csv")
    questions, item = _codes(_question(table))
    annotators, annotator = _codes(table["annotator"])
    answer, right = ((_strings(column) == "yes").astype(np.int32) for column in (table["vote"], truth["answer"]))
    truth_of_item = _truth(questions, _question(truth), right)
    names = np.array([question.split(" ") for question in questions], dtype=object)
    return CrowdSet(name, item, annotator, answer, truth_of_item, names, annotators, NO_YES)


SETS: dict[str, tuple[str, Callable[[Path], CrowdSet]]] = {
    **{
        name: (f"{name}/votes.csv", partial(read_single_choice, name=name))
        for name in ("bluebirds", "dog", "face", "labelme", "facts", "aircrowd", "valence")
    },
    "real-golden": (
        "real/raters_golden.parquet",
        partial(read_yes_no, name="real-golden", file="raters_golden.parquet"),
    ),
    "real-votes": ("real/votes.parquet", partial(read_yes_no, name="real-votes", file="votes.parquet")),
}
"""Name of a set: the file that it is there with, and how it is read."""


def read_sets(folder: Path, names: Iterable[str]) -> list[CrowdSet]:
    """Read the sets that are there, and say of each other one that it is skipped."""
    sets = []
    for name in names:
        file, read = SETS[name]
        if (folder / file).exists():
            sets.append(read(folder))
        else:
            print(f"{name}: skipped, there is no {folder / file}")
    return sets


def _csv(file: Path) -> pa.Table:
    with file.open(encoding="utf-8") as lines:
        columns = lines.readline().strip().split(",")
    as_text = pa.csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()))
    return pa.csv.read_csv(file, convert_options=as_text)


def _question(table: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(table["task"].cast(pa.string()), table["label"].cast(pa.string()), " ")


def _strings(column: pa.ChunkedArray | pa.Array) -> Names:
    return np.asarray(column.cast(pa.string()).to_numpy(zero_copy_only=False), dtype=object)


def _codes(column: pa.ChunkedArray) -> tuple[Names, Codes]:
    """Return the names in order of appearance, and of each row the position of its name."""
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    return _strings(encoded.dictionary), encoded.indices.to_numpy()


def _truth(names: Names, table_of: pa.ChunkedArray, codes: Codes) -> Codes:
    """Lay the codes of the truth along the names; names that have none stay unknown."""
    position = pc.index_in(table_of.cast(pa.string()), pa.array(names, pa.string()))
    row = position.fill_null(-1).to_numpy()
    truth = np.full(len(names), UNKNOWN)
    truth[row[row >= 0]] = codes[row >= 0]
    return truth

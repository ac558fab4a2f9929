"""Lists of (task, label) with a flag, as the files of given labels and of gold have them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from consensus.core.arrays import Codes, Flags
from consensus.core.votes.classifications import pack
from consensus.errors import VotesError
from consensus.files.text_columns import codes_of, place

WORDS: Mapping[str, bool] = {"1": True, "0": False, "true": True, "false": False}


def flags_of(table: pa.Table, column: str, path: Path, otherwise: str) -> Flags:
    """Read a column of 1 and 0; where there is none, all are 1.

    Raises
    ------
    VotesError
        Where a value is something else; the message names the line.
    """
    if column not in table.column_names:
        return np.ones(table.num_rows, dtype=bool)
    codes, names = codes_of(table.column(column), lower=True)
    for position, name in enumerate(names):
        if name not in WORDS:
            row = int(np.flatnonzero(codes == position)[0])
            raise VotesError(f"{place(path, row)}: {column} is {name!r}; use 1, {otherwise}")
    return np.array([WORDS[name] for name in names], dtype=bool)[codes]


def check_repeats(task: Codes, label: Codes, flag: Flags, n_labels: int, path: Path, column: str) -> int:
    """Count the rows that repeat an earlier one, and refuse one that contradicts it.

    Parameters
    ----------
    task, label : (n,) int32
    flag : (n,) bool
    n_labels : int
    path : Path
        For the message.
    column : str
        Name of the flag.

    Raises
    ------
    VotesError
        Naming the line of the contradiction.
    """
    keys = pack(task, label, n_labels)
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    against = order[1:][same & (flag[order][1:] != flag[order][:-1])]
    if against.size:
        raise VotesError(
            f"{place(path, int(against.min()))}: {column} is another than in an earlier row of the same task and "
            "label; take one out"
        )
    return int(same.sum())

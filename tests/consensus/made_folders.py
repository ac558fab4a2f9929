"""Folders of simulated votes, and what scoring the same rows in memory says."""

from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from consensus.core.decide.scoring import score
from consensus.files.result_files import annotators_table, result_table
from consensus.files.score_files import MEMORY
from consensus.files.tables import Limits
from consensus.files.votes_files import read_ballot

Choice = Literal["single", "multiple"]

KINDS = {"single": 4, "many": 70, "multiple": 4, "each": 3}
"""Kinds of votes, and how many labels each has."""


def rows_of(kind: str, seed: int = 1, n_rows: int = 1_500) -> pa.Table:
    """Simulated votes, some of them repeated, with names that have space around them here and there."""
    generator = np.random.default_rng(seed)
    n_labels = KINDS[kind]
    task = generator.integers(200, size=n_rows)
    label = np.where(generator.random(n_rows) < 0.6, task % n_labels, generator.integers(n_labels, size=n_rows))
    columns = {
        "task": [f"t{number}" if number % 7 else f" t{number}\t" for number in task],
        "annotator": generator.integers(9, size=n_rows),  # whole numbers are names as well
        "label": [f"l{number}" for number in label],
    }
    if kind == "each":
        right = label == task % n_labels
        stands = np.where(right == (generator.random(n_rows) < 0.8), "yes", "No")
        columns["vote"] = np.where(generator.random(n_rows) < 0.1, "unsure", stands)
    return pa.table(columns)


def write_folder(folder: Path, table: pa.Table, n_files: int = 3) -> Path:
    """Write rows as some files in a folder, in their order, the last one in a folder of its own."""
    size = -(-table.num_rows // n_files)
    for number in range(n_files):
        file = folder / ("z" if number == n_files - 1 else "") / f"votes-{number}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.slice(number * size, size), file)
    return folder


def write_given(path: Path, n_labels: int) -> Path:
    """Given labels of tasks with and without votes, and some candidates."""
    lines = [f"t{task},l{(task + (task % 5 == 0)) % n_labels},{int(task % 9 > 0)}" for task in range(100, 230)]
    path.write_text("\n".join(["task,label,given", *lines, ""]))
    return path


def tables_of_file(
    path: Path,
    table: pa.Table,
    policy: str,
    choice: Literal["single", "multiple"],
    *,
    all_labels: bool = False,
    **files: Path,
) -> list[pa.Table]:
    """What scoring one file in memory says."""
    pq.write_table(table, path)
    ballot = read_ballot(path, files.get("given"), files.get("trust"), choice)
    scored = score(ballot.votes, ballot.listed, ballot.lesson, ballot.fixed_trust, policy)
    result = result_table(ballot.votes, scored, all_labels=all_labels)
    tables = result, annotators_table(ballot.votes, scored)
    return [pa.table(dict(columns)) for columns in tables]


LITTLE = Limits(1_000 * MEMORY, 2)
"""Too little memory for the rows, so that they are scored in parts."""


def assert_same(found: pa.Table, expected: pa.Table) -> None:
    """Numbers agree to 1e-9, all else and the order of the rows exactly."""
    assert found.column_names == expected.column_names
    for name in expected.column_names:
        if pa.types.is_floating(expected[name].type):
            np.testing.assert_allclose(found[name].to_numpy(), expected[name].to_numpy(), rtol=0, atol=1e-9)
        else:
            assert found[name].to_pylist() == expected[name].to_pylist()

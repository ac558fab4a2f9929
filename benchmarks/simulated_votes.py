"""Simulated votes for measurements of speed: a single choice, a confusion matrix for each annotator."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from consensus.core.arrays import Codes, Floats

N_CLASSES, PER_TASK = 4, 5
CHUNK = 200_000
"""Tasks that are made, and written into a file, at a time."""

COLUMNS = ("task", "annotator", "label")
SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
LABELS = [f"label {at}" for at in range(N_CLASSES)]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Votes on some tasks: columns of (n_votes,) int32, and the truth of the tasks."""

    task: Codes
    annotator: Codes
    label: Codes
    truth: Codes


def annotators_for(n_votes: int) -> int:
    """Some hundreds for a million votes, some thousands for fifty million."""
    return int(500 * (n_votes / 1e6) ** 0.4)


def chunks(n_votes: int, seed: int) -> Iterator[Chunk]:
    """Make votes on n_votes / 5 tasks, chunk by chunk.

    An annotator's share of right votes is drawn from a beta distribution with mean 0.7, and of each class again
    around that; how wrong ones are spread is drawn from a Dirichlet distribution, half of which all annotators
    share. Given the truth, votes are independent: the very model of Dawid and Skene.
    """
    generator = np.random.default_rng(seed)
    n_annotators, n_tasks = annotators_for(n_votes), n_votes // PER_TASK
    bounds = np.cumsum(_matrices(generator, n_annotators), axis=2)
    prevalence = generator.dirichlet(np.full(N_CLASSES, 8.0))
    for first in range(0, n_tasks, CHUNK):
        size = min(CHUNK, n_tasks - first)
        truth = generator.choice(N_CLASSES, size=size, p=prevalence).astype(np.int32)
        # Steps of 1 to a fifth of all around a circle: nobody votes twice on a task.
        steps = generator.integers(1, n_annotators // PER_TASK, size=(size, PER_TASK))
        steps[:, 0] = generator.integers(n_annotators, size=size)
        annotator = (np.cumsum(steps, axis=1) % n_annotators).ravel().astype(np.int32)
        task = np.repeat(np.arange(first, first + size, dtype=np.int32), PER_TASK)
        drawn = generator.random(len(task))
        label = (drawn[:, None] > bounds[annotator, np.repeat(truth, PER_TASK)][:, :-1]).sum(axis=1)
        yield Chunk(task, annotator, label.astype(np.int32), truth)


def truth_of(n_votes: int, seed: int) -> Codes:
    """Return the position of the right label of each task."""
    return np.concatenate([chunk.truth for chunk in chunks(n_votes, seed)])


def write_names(files: Sequence[Path], n_votes: int, seed: int) -> None:
    """Write votes as Parquet files with names, one file for all, or a chunk of the tasks in each."""
    people = pa.array([f"a{at}" for at in range(annotators_for(n_votes))])
    with ExitStack() as stack:
        writers = [stack.enter_context(pq.ParquetWriter(file, SCHEMA)) for file in files]
        for number, chunk in enumerate(chunks(n_votes, seed)):
            tasks = pa.array(task_names(range(int(chunk.task[0]), int(chunk.task[-1]) + 1)))
            names = tasks, people, pa.array(LABELS)
            codes = chunk.task - chunk.task[0], chunk.annotator, chunk.label
            columns = [name.take(pa.array(code)) for name, code in zip(names, codes, strict=True)]
            writers[number % len(files)].write_table(pa.table(columns, schema=SCHEMA))


def task_names(numbers: range) -> list[str]:
    """Name tasks."""
    return [f"task-{number:09d}" for number in numbers]


def _matrices(generator: np.random.Generator, n_annotators: int) -> Floats:
    """(n_annotators, n_classes, n_classes): rates by annotator, true class and said class."""
    right = generator.beta(7.0, 3.0, size=(n_annotators, 1))
    of_class = generator.beta(20 * right, 20 * (1 - right), size=(n_annotators, N_CLASSES))
    shared = generator.dirichlet(np.ones(N_CLASSES), size=N_CLASSES)
    own = generator.dirichlet(np.ones(N_CLASSES), size=(n_annotators, N_CLASSES))
    wrong = (shared + own) * (1 - np.eye(N_CLASSES))
    wrong /= wrong.sum(axis=2, keepdims=True)
    matrices: Floats = wrong * (1 - of_class)[:, :, None] + of_class[:, :, None] * np.eye(N_CLASSES)
    return matrices

"""Votes on a Ray cluster: each worker keeps some partitions, takes confusion matrices and gives back sums.

Partitions go to the workers once, by value, so that no disk need be shared. What then travels in a round is what
was fitted (there) and sums (back): by annotator and pair of classes, however many votes there are.
"""

import operator
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from common.console import install
from consensus.core.decide.partitions import Partition, Partitions
from consensus.core.model.em import MapMatrices
from consensus.core.votes.label_matrix import LabelMatrix, MatrixSize
from consensus.core.votes.votes import Votes
from consensus.errors import ConfigError
from consensus.files.partition_files import PartitionFiles

Found = TypeVar("Found")

AHEAD = 2
"""Partitions of a worker that are asked for before the first of them is taken."""


class PartitionActor:
    """Keeps partitions and their label matrices on a worker, and calls functions with them."""

    def __init__(self) -> None:
        self._partitions: dict[int, Partition] = {}
        self._matrices: dict[int, LabelMatrix] = {}

    def take(self, number: int, partition: Partition) -> None:
        """Keep a partition."""
        self._partitions[number] = partition

    def map(self, function: Callable[[Partition], Found], number: int) -> Found:
        """Call a function with a partition; what it derives from it is not kept."""
        return function(replace(self._partitions[number]))

    def make_matrix(self, function: Callable[[Partition], LabelMatrix], number: int) -> MatrixSize:
        """Keep the label matrix of a partition."""
        self._matrices[number] = self.map(function, number)
        return self._matrices[number].size

    def map_matrix(self, function: Callable[[LabelMatrix], Found], number: int, first: int) -> Found:
        """Call a function with a label matrix whose first row has this number among those of all partitions."""
        return function(replace(self._matrices[number], first=first))


@dataclass(frozen=True, eq=False)
class RayPartitions:
    """Partitions on the workers of a cluster; see `consensus.core.decide.partitions.Partitions`.

    Attributes
    ----------
    actors : list
        Handles of `PartitionActor`; partition N is with the N-th of them, counted around.
    """

    ray: Any
    actors: list[Any]
    empty: Votes
    n_parts: int
    n_tasks: int
    n_votes: int

    def map(self, function: Callable[[Partition], Found]) -> Iterator[Found]:
        """Call a function with each partition and yield what it returns, in the order of the partitions."""
        sent = self.ray.put(function)
        return self._in_order(lambda actor, number: actor.map.remote(sent, number))

    def label_matrices(self, function: Callable[[Partition], LabelMatrix]) -> tuple[MapMatrices, MatrixSize]:
        """Keep each partition's label matrix where the partition is, for the fit."""
        sent = self.ray.put(function)
        sizes: list[MatrixSize] = list(
            self._in_order(lambda actor, number: actor.make_matrix.remote(sent, number))
        )
        firsts = np.cumsum([0, *(size.rows for size in sizes)]).tolist()

        def map_matrices(of_matrix: Callable[[LabelMatrix], Found]) -> Iterable[Found]:
            sent = self.ray.put(of_matrix)
            return self._in_order(lambda actor, number: actor.map_matrix.remote(sent, number, firsts[number]))

        return map_matrices, reduce(operator.add, sizes)

    def _in_order(self, ask: Callable[[Any, int], Any]) -> Iterator[Any]:
        waiting: deque[Any] = deque()
        for number in range(self.n_parts):
            if len(waiting) == AHEAD * len(self.actors):
                yield self.ray.get(waiting.popleft())
            waiting.append(ask(self.actors[number % len(self.actors)], number))
        while waiting:
            yield self.ray.get(waiting.popleft())


@contextmanager
def on_ray(partitions: PartitionFiles) -> Iterator[Partitions]:
    """Put partitions onto a Ray cluster: the one that runs, that of RAY_ADDRESS, or one on this machine.

    Raises
    ------
    ConfigError
        Where Ray is not installed or its cluster cannot be reached.
    """
    ray = _ray()
    ours = not ray.is_initialized()
    try:
        if ours:
            _start(ray)
        n_actors = max(1, min(int(ray.cluster_resources().get("CPU", 1)), partitions.n_parts))
        # A worker stays with what it keeps: where one is lost, so are its parts, and the run ends with an error.
        actors = [ray.remote(num_cpus=1)(PartitionActor).remote() for _ in range(n_actors)]
        for number in range(partitions.n_parts):
            ray.get(actors[number % n_actors].take.remote(number, partitions.partition(number)))
        yield RayPartitions(
            ray, actors, partitions.empty, partitions.n_parts, partitions.n_tasks, partitions.n_votes
        )
        for actor in actors:
            ray.kill(actor)
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise ConfigError(f"Ray failed: {str(error).strip().splitlines()[-1]}") from None
    finally:
        if ours:
            ray.shutdown()


def _ray() -> Any:  # noqa: ANN401  # a module
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray is imported and started: nothing goes outside
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray  # noqa: PLC0415  # an extra
    except ModuleNotFoundError:
        raise ConfigError(f"--engine ray needs Ray, which is not installed: {install('.[ray]')}") from None
    return ray


def _start(ray: Any) -> None:  # noqa: ANN401  # a module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")

"""Parts of votes on a Ray cluster: each worker keeps some parts, takes rates and gives back sums.

Parts go to the workers once, by value, so that no disk need be shared. What then travels in a round is what was
learned (there) and sums (back): by annotator and pair of classes, however many votes there are.
"""

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from consensus.core.decide.partitions import Part, Parts
from consensus.core.model.em import Over
from consensus.core.model.models import Size, size_of
from consensus.core.votes.label_matrix import Items
from consensus.core.votes.votes import Votes
from consensus.errors import ConfigError
from consensus.files.partition_files import PartFiles

Found = TypeVar("Found")

AHEAD = 2
"""Parts of a worker that are asked for before the first of them is taken."""


class Keeper:
    """Keeps parts and their items on a worker, and calls functions with them."""

    def __init__(self) -> None:
        self._parts: dict[int, Part] = {}
        self._items: dict[int, Items] = {}

    def take(self, number: int, part: Part) -> None:
        """Keep a part."""
        self._parts[number] = part

    def over(self, function: Callable[[Part], Found], number: int) -> Found:
        """Call a function with a part."""
        return function(self._parts[number])

    def keep(self, function: Callable[[Part], Items], number: int) -> Size:
        """Make a part's items and keep them."""
        self._items[number] = function(self._parts[number])
        return size_of(self._items[number])

    def over_items(self, function: Callable[[Items], Found], number: int, first: int) -> Found:
        """Call a function with a part's items, of which the first has this number among those of all parts."""
        return function(replace(self._items[number], first=first))


@dataclass(frozen=True, eq=False)
class RayParts:
    """Parts on the workers of a cluster; see `consensus.core.decide.partitions.Parts`.

    Attributes
    ----------
    ray : module
    keepers : list
        Handles of `Keeper` actors; part N is with the N-th of them, counted around.
    nobody : Votes
    n_parts, n_tasks, n_votes : int
    """

    ray: Any
    keepers: list[Any]
    nobody: Votes
    n_parts: int
    n_tasks: int
    n_votes: int

    def over(self, function: Callable[[Part], Found]) -> Iterator[Found]:
        """Call a function with each part and yield what it returns, in the order of the parts."""
        sent = self.ray.put(function)
        return self._in_order(lambda keeper, number: keeper.over.remote(sent, number))

    def keep(self, function: Callable[[Part], Items]) -> tuple[Over, Size]:
        """Make each part's items where the part is, for the rounds of learning."""
        sent = self.ray.put(function)
        sizes: list[Size] = list(self._in_order(lambda keeper, number: keeper.keep.remote(sent, number)))
        firsts = np.cumsum([0, *(size.items for size in sizes)]).tolist()

        def over(of_items: Callable[[Items], Found]) -> Iterable[Found]:
            sent = self.ray.put(of_items)
            return self._in_order(lambda keeper, number: keeper.over_items.remote(sent, number, firsts[number]))

        return over, Size(firsts[-1], sum(size.votes for size in sizes), sizes[0].n_classes)

    def _in_order(self, ask: Callable[[Any, int], Any]) -> Iterator[Any]:
        waiting: deque[Any] = deque()
        for number in range(self.n_parts):
            if len(waiting) == AHEAD * len(self.keepers):
                yield self.ray.get(waiting.popleft())
            waiting.append(ask(self.keepers[number % len(self.keepers)], number))
        while waiting:
            yield self.ray.get(waiting.popleft())


@contextmanager
def on_ray(parts: PartFiles) -> Iterator[Parts]:
    """Put parts onto a Ray cluster: the one that runs, that of RAY_ADDRESS, or one on this machine for a while.

    Parameters
    ----------
    parts : PartFiles

    Yields
    ------
    Parts

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
        n_keepers = max(1, min(int(ray.cluster_resources().get("CPU", 1)), parts.n_parts))
        # A worker stays with what it keeps: where one is lost, so are its parts, and the run ends with an error.
        keepers = [ray.remote(num_cpus=1)(Keeper).remote() for _ in range(n_keepers)]
        for number in range(parts.n_parts):
            ray.get(keepers[number % n_keepers].take.remote(number, parts.part(number)))
        yield RayParts(ray, keepers, parts.nobody, parts.n_parts, parts.n_tasks, parts.n_votes)
        for keeper in keepers:
            ray.kill(keeper)
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
        raise ConfigError(
            "--engine ray needs Ray, which is not installed: pip install 'label-studio-consensus[large,ray]'"
        ) from None
    return ray


def _start(ray: Any) -> None:  # noqa: ANN401  # a module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")

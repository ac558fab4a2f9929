"""Run the engine and the eight published methods on the same votes."""

import argparse
import json
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from data_sets import SETS, CrowdSet, read_sets
from metrics import smoothed
from peers import PEERS

from consensus.core.arrays import Codes, Flags, Floats
from consensus.core.decide.scoring import Scored, score
from consensus.core.votes.classifications import Gold, Listed

OURS = "default"
"""The policy that is compared."""
METHODS = (*PEERS, OURS)
PSEUDO_VOTES = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 4.0)
"""What shares of votes may be smoothed with."""

Metric = Callable[[Floats, Codes], float]
Figures = dict[str, dict[str, float]]
"""By set, then method."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What every method says of one set.

    Attributes
    ----------
    beliefs : dict
        By method that ran: (n_items, n_classes) float64, the rows in the order of the set's items. For methods
        with `shares`, weights of votes.
    scored : Scored
        All that the engine says.
    seconds : dict
        By method that ran in this run.
    """

    votes: CrowdSet
    beliefs: dict[str, Floats]
    scored: Scored
    seconds: dict[str, float]

    @property
    def known(self) -> Flags:
        """(n_items,) bool: whether the truth is known."""
        return self.votes.truth >= 0

    @property
    def truth(self) -> Codes:
        """(n_known,) int32: the truth of those."""
        return self.votes.truth[self.known]

    def belief(self, method: str, pseudo_votes: float = 0.0) -> Floats:
        """(n_known, n_classes) float64: what a method believes of the items whose truth is known."""
        belief = self.beliefs[method][self.known]
        return smoothed(belief, pseudo_votes) if method in PEERS and PEERS[method].shares else belief


def parser(description: str) -> argparse.ArgumentParser:
    """Return the options that all comparisons take."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = options.add_argument
    add("--data", type=Path, required=True, help="folder of the sets: see benchmarks/README.md")
    add("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET", help=", ".join(SETS))
    add("--skip-slow", action="store_true", help="leave GLAD out, which takes most of the time")
    add("--patient", action="store_true", help="run GLAD and EBCC on the largest set as well")
    add("--peers", type=Path, metavar="DIR", help="keep what the eight say there for the next run")
    return options


def run(options: argparse.Namespace) -> list[Outcome]:
    """Run all methods on all sets that are wanted and there; exit where there is none."""
    sets = read_sets(options.data, options.sets)
    if not sets:
        sys.exit(f"{options.data} holds none of the sets {', '.join(options.sets)}; name their folder with --data")
    return [_run(votes, options) for votes in sets]


def _run(votes: CrowdSet, options: argparse.Namespace) -> Outcome:
    began = time.perf_counter()
    scored = score_set(votes)
    seconds = {OURS: time.perf_counter() - began}
    beliefs = {OURS: belief_of(votes, scored)}
    for name, peer in PEERS.items():
        if (peer.slow and options.skip_slow) or (len(votes.item) > peer.most_votes and not options.patient):
            continue
        file = _file(options.peers, name, votes) if options.peers else None
        if file and file.exists():
            beliefs[name] = np.load(file)
            continue
        print(f"{votes.name}: {name}", file=sys.stderr)
        began = time.perf_counter()
        beliefs[name] = peer.run(votes)
        seconds[name] = time.perf_counter() - began
        if file:
            np.save(file, beliefs[name])
    return Outcome(votes, beliefs, scored, seconds)


def _file(folder: Path, name: str, votes: CrowdSet) -> Path:
    """Name the file that keeps what a method says of just these votes."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = np.concatenate([votes.item, votes.annotator, votes.answer])
    return folder / f"{votes.name}-{name}-{zlib.crc32(columns.tobytes()):08x}.npy"


def score_set(votes: CrowdSet) -> Scored:
    """Score a set by the votes alone: nothing is given, there is no gold, and all trust is learned."""
    none: Codes = np.zeros(0, dtype=np.int32)
    flags = np.zeros(0, dtype=bool)
    learned = np.full(votes.n_annotators, np.nan)
    return score(votes.votes, Listed(none, none, flags), Gold(none, none, flags), learned, OURS)


def belief_of(votes: CrowdSet, scored: Scored) -> Floats:
    """Lay the engine's posterior out as (n_items, n_classes)."""
    row = rows_of(votes, scored)
    if votes.asks_yes_no:
        yes = scored.posterior[row[:, 0]]
        return np.column_stack([1 - yes, yes])
    return scored.posterior[row]


def rows_of(votes: CrowdSet, scored: Scored) -> Codes:
    """(n_items, n) int32: the classifications of each item; one of a question, one a class of a task."""
    task, label = votes.classifications
    return scored.classifications.rows_of(task.ravel(), label.ravel()).reshape(task.shape)


def fairest(outcomes: list[Outcome], method: str, metric: Metric) -> float:
    """Return the pseudo-votes with which a method's shares score best on the mean over the sets.

    The truth is used to choose them: an advantage that the engine does not have.
    """
    if not (method in PEERS and PEERS[method].shares):
        return 0.0
    return min(
        PSEUDO_VOTES,
        key=lambda votes: float(np.mean([metric(each.belief(method, votes), each.truth) for each in outcomes])),
    )


def table(corner: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Write a table as the docs hold it."""
    lines = [(corner, *columns), ("---", *["---:"] * len(columns)), *((name, *cells) for name, cells in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def by_method(row: Mapping[str, float], digits: int = 4, absent: str = "not run") -> list[str]:
    """Write a line of a table that has a column for each method."""
    return [figure(row[method], digits) if method in row else absent for method in METHODS]


def figure(value: float, digits: int = 4) -> str:
    """Write a number, or that there is none."""
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def yes_no(reached: bool) -> str:  # noqa: FBT001  # the value is all there is to say
    """Write whether a bar is reached."""
    return "yes" if reached else "NO"


def finish(report: dict[str, object]) -> int:
    """Print the report as the last line, and return the exit status: 1 where a bar is missed."""
    print(json.dumps(_rounded(report)))
    return 0 if report["reached"] else 1


def _rounded(value: object) -> object:
    """Six digits are enough, and JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 6)
    return value

"""What a person should know of the votes in a file before believing the result."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from consensus.core.votes.votes import UNSURE, Votes

SHOWN = 3

NO_VOTE = {"-1", "none", "null", "na", "n/a", "<na>", "#n/a"}
"""What other programs write where there is no vote, in lower case."""

SEVERAL = ("#", "|", ";", ",")
"""What may stand between several labels in a cell."""

WHOLE_NUMBER = re.compile(r"^(-?\d+)\.0+$")


def notes_on(votes: Votes, path: Path) -> Iterator[str]:
    """Yield a sentence on each thing that makes the result poor or is likely a slip of the pen.

    Parameters
    ----------
    path : Path
        Where they come from.
    """
    yield from notes_of(votes, len(votes), all_unsure=bool((votes.vote == UNSURE).all()), path=path)


def notes_of(names: Votes, n_votes: int, *, all_unsure: bool, path: Path) -> Iterator[str]:
    """Yield the same of so many votes, of which only the names are at hand."""
    if not n_votes:
        yield f"{path} holds no votes"
        return
    if names.n_annotators == 1:
        only = names.annotator_names[0]
        yield f"{path}: all votes are those of {only!r}; nobody checks them, so little is decided"
    if all_unsure:
        yield f"{path}: all votes are unsure; nothing is decided"
    for kind, called in ("labels", names.label_names), ("annotators", names.annotator_names):
        alike = _alike(called)
        for first, second in alike[:SHOWN]:
            yield (
                f"{path}: the {kind} {first!a} and {second!a} look alike (case, blanks, .0, invisible characters "
                "or the encoding of accents differ); they count as two"
            )
        if len(alike) > SHOWN:
            yield f"{path}: {len(alike) - SHOWN} more pairs of {kind} look alike"
    yield from _odd_labels(names.label_names.tolist(), path)


def _odd_labels(labels: list[str], path: Path) -> Iterator[str]:
    """Say which labels may stand for no vote, or for several labels."""
    for label in [label for label in labels if label.lower() in NO_VOTE][:SHOWN]:
        yield (
            f"{path}: {label!r} counts as a label; where it stands for no vote (as -1 does in snorkel), leave the "
            "cell empty or the row out"
        )
    names = {*labels}
    for label in labels:
        for mark in SEVERAL:
            if mark in label and {name.strip() for name in label.split(mark)} <= names:
                yield (
                    f"{path}: {label!r} counts as one label; if it is several, write a row for each and use "
                    "--choice multiple"
                )
                return


def _alike(names: Iterable[str]) -> list[tuple[str, str]]:
    spellings = defaultdict(list)
    for name in names:
        plain = name if name.isascii() else _visible(name)
        spellings[WHOLE_NUMBER.sub(r"\1", " ".join(plain.casefold().split()))].append(name)
    return [(same[0], other) for same in spellings.values() for other in same[1:]]


def _visible(name: str) -> str:
    """Leave out what cannot be seen, and spell accents in one way."""
    return "".join(
        letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf"
    )

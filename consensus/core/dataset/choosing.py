"""Which of the believed labels a dataset is to hold, and why not the others."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from consensus.core.dataset.believed import BelievedLabel, Item, LeftOut, believe
from consensus.core.dataset.option_names import Only
from consensus.core.votes.votes import Choice

ONLY: dict[Only, tuple[Callable[[BelievedLabel], bool], str]] = {
    "confirmed": (lambda label: label.basis in ("person", "machine", "votes"), "neither votes nor a decision"),
    "decided": (lambda label: label.basis in ("person", "machine"), "no decision"),
    "person": (lambda label: label.basis == "person", "no decision of a person"),
    "machine": (lambda label: label.basis == "machine", "no decision of a machine"),
    "votes": (lambda label: label.basis == "votes", "not confirmed by votes"),
    "given": (lambda label: label.basis == "given", "not merely the given label"),
    "changed": (lambda label: label.changed, "not another label than the given one"),
    "doubtful": (lambda label: label.basis == "doubtful", "not doubtful"),
}
"""What each word keeps, and what the others lack."""


@dataclass(frozen=True)
class Choosing:
    """What is asked of a dataset.

    Attributes
    ----------
    only : str or None
        Labels have to fit this word of `ONLY`.
    min_confidence : float or None
        Labels have to have at least this confidence.
    keep_doubtful : bool
        Take the label that the evidence prefers where none holds.
    """

    only: Only | None = None
    min_confidence: float | None = None
    keep_doubtful: bool = False

    def lacks(self, believed: BelievedLabel) -> LeftOut | None:
        """Return why a label is left out, or None where it is not."""
        confidence = believed.candidate.confidence
        if self.only is not None and not ONLY[self.only][0](believed):
            kind, detail = ONLY[self.only][1], believed.label
        elif self.min_confidence is not None and not confidence >= self.min_confidence:
            kind = f"confidence below {self.min_confidence:g}"
            detail = f"{believed.label} with {confidence:.3f}"
        else:
            return None
        return LeftOut(believed.task, believed.given, kind, detail)


@dataclass(frozen=True)
class Dataset:
    """Labels by task and name, and what was left out, by task."""

    labels: tuple[BelievedLabel, ...]
    left_out: tuple[LeftOut, ...]


def choose(items: Iterable[Item], choice: Choice, choosing: Choosing) -> Dataset:
    """Put together what is believed of the items as it is asked for.

    Parameters
    ----------
    items : iterable of Item
        Ordered by task.
    choice : {"single", "multiple", "each"}
        Of the control.
    """
    labels: list[BelievedLabel] = []
    left_out: list[LeftOut] = []
    for item in items:
        believed, nothing = believe(item, choice, keep_doubtful=choosing.keep_doubtful)
        if nothing is not None:
            left_out.append(nothing)
            continue
        lacks = [(each, choosing.lacks(each)) for each in believed]
        labels += [each for each, lack in lacks if lack is None]
        left_out += [lack for _, lack in lacks if lack]
    return Dataset(tuple(labels), tuple(left_out))


NO_IMAGE = "the image cannot be had"


def without(dataset: Dataset, failures: Mapping[int, str]) -> Dataset:
    """Leave tasks out whose image cannot be had, each with its reason."""
    gone = {each.task: each.given for each in dataset.labels if each.task in failures}
    images = (LeftOut(task, given, NO_IMAGE, failures[task]) for task, given in gone.items())
    left_out = [*dataset.left_out, *images]
    return Dataset(
        tuple(each for each in dataset.labels if each.task not in failures),
        tuple(sorted(left_out, key=lambda each: each.task)),
    )

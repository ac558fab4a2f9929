"""How mixed the labels are of images that look alike."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from consensus.core.assist.expected import share_interval


@dataclass(frozen=True)
class Mixture:
    """The labels of some images.

    Parameters
    ----------
    label : str or None
        That most of them have, of several the first by name; None where none has any.
    labelled, others : int
        How many have a label, and how many of those have another one.
    lower, upper : float
        Bounds of the share of the others.
    """

    label: str | None
    labelled: int
    others: int
    lower: float
    upper: float

    @property
    def share(self) -> float | None:
        """Share of those with a label that have another one."""
        return self.others / self.labelled if self.labelled else None


def mixture(images: Iterable[Collection[str]]) -> Mixture:
    """Return how mixed images are, by the labels of each.

    Examples
    --------
    >>> mixed = mixture([{"cat"}, {"cat", "dog"}, {"dog"}, set()])
    >>> mixed.label, mixed.labelled, mixed.others
    ('cat', 3, 1)
    """
    labels = [frozenset(image) for image in images if image]
    counts = Counter(label for image in labels for label in image)
    label = min(counts, key=lambda name: (-counts[name], name), default=None)
    others = len(labels) - counts[label] if label is not None else 0
    return Mixture(label, len(labels), others, *share_interval(others, len(labels)))

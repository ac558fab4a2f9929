"""Tasks and annotations, as Label Studio holds them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

UNKNOWN_ACCOUNT = "account unknown "
"""What the names begin with of annotators whose account is deleted."""


@dataclass(frozen=True)
class Annotation:
    """A submitted annotation.

    Attributes
    ----------
    annotator : str
        Name of the account that made it.
    updated_at : str
        ISO 8601; later ones replace earlier ones of the same annotator and task.
    result : sequence of mappings
        Regions as Label Studio holds them.
    lead_time : float or None
        Seconds spent.
    from_prediction : int or None
        The prediction it was made from, if it was.
    suggestion : sequence of mappings or None
        The regions of that prediction, if it is still there.
    """

    id: int
    annotator: str
    updated_at: str
    skipped: bool
    ground_truth: bool
    result: Sequence[Mapping[str, object]]
    lead_time: float | None = None
    from_prediction: int | None = None
    suggestion: Sequence[Mapping[str, object]] | None = None

    @property
    def of_unknown_account(self) -> bool:
        """Whether its annotator's account is deleted, and nobody knows whose it was."""
        return self.annotator.startswith(UNKNOWN_ACCOUNT)


@dataclass(frozen=True)
class Task:
    """A task with its submitted annotations; drafts are none.

    Attributes
    ----------
    suggestion : sequence of mappings or None
        The regions of the last prediction of a model that was made before anybody had annotated the task.
    suggestion_score : float or None
        The score of that prediction as a whole.
    predictions : mapping of str to sequence of mappings
        The regions of the latest prediction of each version of a model.
    """

    id: int
    data: Mapping[str, object]
    annotations: Sequence[Annotation] = ()
    suggestion: Sequence[Mapping[str, object]] | None = None
    suggestion_score: float | None = None
    predictions: Mapping[str, Sequence[Mapping[str, object]]] = field(default_factory=dict)

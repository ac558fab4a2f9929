"""Whether a new version takes over from the one that answers."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ml_backend.core.model import Evidence, ProjectModel
from ml_backend.core.promotion import Comparison, compare


def succeeds(
    current: ProjectModel | None,
    new: ProjectModel,
    evidence: Sequence[Evidence],
    embeddings: NDArray[np.float32] | None,
    *,
    chosen: bool,
) -> Comparison:
    """Decide whether a new model answers from now on.

    It does where it is no worse than the current one on held-out tasks. A version that a person chose stays until
    one is better, by more than the standard error in log loss or accuracy. A model that does not know a control as
    it is today goes in any case, unless a person chose it and it can be compared: it would suggest nothing there.

    Parameters
    ----------
    current : ProjectModel or None
    new : ProjectModel
    evidence : sequence of Evidence
        What ``new`` has learned from, with the ids of the tasks.
    embeddings : (n_images, n_dimensions) float32, or None
        As for ``promotion.compare``.
    chosen : bool
        Whether a person chose the current version.
    """
    found = compare(current, new, evidence, embeddings)
    if current is None:
        return found
    unknown = _unknown(current, new)
    if chosen and not (unknown and found.log_loss_before is None):
        if found.promoted and _is_better(found):
            return replace(found, why=f"It is better than the version that a person chose. {found.why}")
        return replace(
            found, promoted=False, why=f"It is not better than the version that a person chose. {found.why}"
        )
    if unknown and (chosen or not found.promoted):
        why = f"The current version does not know {', '.join(map(repr, unknown))} as it is now. {found.why}"
        return replace(found, promoted=True, why=why)
    return found


def _is_better(found: Comparison) -> bool:
    before_after_error = (
        (found.log_loss_after, found.log_loss_before, found.log_loss_error),
        (found.accuracy_before, found.accuracy_after, found.accuracy_error),
    )
    return any(
        less is not None and more is not None and error is not None and more - less > error
        for less, more, error in before_after_error
    )


def _unknown(current: ProjectModel, new: ProjectModel) -> list[str]:
    known = {(one.control.name, one.control.labels, one.control.multiple) for one in current.controls}
    return [
        one.control.name
        for one in new.controls
        if (one.control.name, one.control.labels, one.control.multiple) not in known
    ]

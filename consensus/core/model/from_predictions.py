"""From the predictions on tasks to suggestions that can vote."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from common.label_studio.annotations import choices_in
from consensus.core.model.model_voter import Suggestions
from consensus.core.votes.controls import Control
from consensus.core.votes.from_annotations import Collected, Task, chosen_on


def suggestions_on(collected: Collected, tasks: Sequence[Task]) -> Suggestions | None:
    """Read what a model suggested for a control before anybody had annotated the task.

    Returns
    -------
    Suggestions or None
        None for a verification: its labels are words for yes and no. Labels that the control does not have, and
        suggestions without a score, say nothing.
    """
    if collected.control.kind == "verification":
        return None
    votes = collected.votes
    task_codes = {str(name): code for code, name in enumerate(votes.task_names)}
    label_codes = {str(name): code for code, name in enumerate(votes.label_names)}
    rows = [
        (task_codes[str(task.id)], label_codes[label], score)
        for task in tasks
        if task.suggestion is not None and str(task.id) in task_codes
        for label, score in _scored(task.suggestion, task.suggestion_score, collected.control)
        if label in label_codes
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    return Suggestions(table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), np.clip(table[:, 2], 0, 1))


def _scored(
    regions: Sequence[Mapping[str, object]], of_all: float | None, control: Control
) -> Iterator[tuple[str, float]]:
    """Labels that regions answer on a control, each with its region's score or that of the whole prediction."""
    answered = chosen_on(choices_in(regions).made, control) or ()
    for region in regions:
        for choice in choices_in([region]).made.get(control.tag.name, ()):
            label = control.renamed.get(choice, choice)
            own = region.get("score")
            score = own if isinstance(own, int | float) else of_all
            if label in answered and score is not None and np.isfinite(score):
                yield label, float(score)

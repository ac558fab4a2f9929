"""What to put to an annotator next: open classifications that they have not voted on."""

from dataclasses import dataclass

import numpy as np

from consensus.errors import ConfigError
from consensus.store.columns import Row, as_rows
from consensus.store.store import Store
from consensus.store.stored_votes import ControlState, LastRun, last_run_of

COLUMNS = ("task", "control", "label", "given", "yes", "no", "unsure", "confidence", "posterior", "report", "gain")


@dataclass(frozen=True)
class Prompts:
    """Open classifications for an annotator.

    Attributes
    ----------
    known : bool
        Whether the annotator has a vote in the last run.
    rows : list of dict
        Classifications as the store has them, and the gain in bits; the most informative first.
    """

    known: bool
    rows: list[Row]


def prompts(
    store: Store, project: int, annotator: str, *, label: str | None = None, control: str | None = None
) -> Prompts:
    """Find the open classifications that an annotator has not voted on, the most informative for them first.

    The gain of a single choice is that of the one question which its labels share.

    Parameters
    ----------
    annotator : str
        In any case of its letters. Somebody without a vote is taken for the average annotator.
    label, control : str, optional
        Only classifications of these.

    Raises
    ------
    ConfigError
        Where the project has no run yet, or no such control or label.
    """
    with store.snapshot() as snapshot:
        last_run = last_run_of(snapshot, project)
    _check("control", control, [state.control for state in last_run.controls])
    chosen = [state for state in last_run.controls if control in (None, state.control)]
    _check("label", label, sorted({name for state in chosen for name in state.rows["label"].tolist()}))
    names = {str(name): at for at, name in enumerate(last_run.annotators)}
    folded = {name.casefold(): at for name, at in names.items()}
    position = names.get(annotator, folded.get(annotator.casefold()))
    rows = [
        row for state in chosen for row in _open_to(state, last_run, position) if label in (None, row["label"])
    ]
    order = sorted(
        rows, key=lambda row: (-row["gain"], row["task"], row["control"], -row["posterior"], row["label"])
    )
    return Prompts(position is not None, order)


def _open_to(state: ControlState, last_run: LastRun, annotator: int | None) -> list[Row]:
    free = state.is_open
    if annotator is not None:
        free = free & ~last_run.voted[state.control][state.stored.task, annotator]
    gain = state.gain[:, -1 if annotator is None else annotator]
    question = state.questions.row
    at = np.flatnonzero(free)
    return as_rows({**{name: column[at] for name, column in state.rows.items()}, "gain": gain[question[at]]})


def _check(kind: str, name: str | None, names: list[str]) -> None:
    if name is not None and name not in names:
        raise ConfigError(
            f"the last run has no {kind} {name!r}; it has {', '.join(names[:20]) or 'none'}"
            f"{', ...' if len(names) > 20 else ''}"  # noqa: PLR2004  # as many as fit a screen
        )

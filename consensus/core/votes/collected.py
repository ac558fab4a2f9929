"""What the annotations of a project say on one control, in columns."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consensus.core.arrays import Codes, Floats, Keys, Names
from consensus.core.votes.classifications import Gold, Listed, Suggestions
from consensus.core.votes.controls import Control
from consensus.core.votes.from_annotations import Task, TaskRows, rows_of
from consensus.core.votes.votes import NO_LABEL, Votes, encode


@dataclass(frozen=True)
class Problem:
    """Something that was left out, and why."""

    task: int
    what: str


@dataclass(frozen=True, eq=False)
class Submissions:
    """The annotation that each vote comes from.

    Attributes
    ----------
    annotation : (n_votes,) int64
        Its id.
    voted_at : (n_votes,) str
        When it was last changed, as Label Studio writes it.
    lead_time : (n_votes,) float64
        Seconds spent; NaN where it is not known.
    from_prediction : (n_votes,) int or None
        The prediction it was made from, if it was.
    accepted : (n_votes,) bool or None
        Whether that prediction was left as it was; None where that says nothing.
    """

    annotation: Keys
    voted_at: NDArray[np.object_]
    lead_time: Floats
    from_prediction: NDArray[np.object_]
    accepted: NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Collected:
    """What the annotations of a project say on one control.

    Attributes
    ----------
    votes : Votes
        Task names are Label Studio's ids as text.
    submissions : Submissions
        Row by row as the votes.
    suggestions : Suggestions or None
        What a model suggested before anybody had annotated the task; None on a verification.
    settled : Gold
        What somebody has decided: gold, and decisions that teach nothing.
    """

    control: Control
    votes: Votes
    submissions: Submissions
    listed: Listed
    gold: Gold
    suggestions: Suggestions | None
    problems: list[Problem]
    settled: Gold


def collect(tasks: Iterable[Task], control: Control, machines: Iterable[str] = ()) -> Collected:
    """Read the votes on one control from a project's tasks.

    Parameters
    ----------
    machines : iterable of str
        Accounts that never vote.
    """
    never = frozenset(machines)
    return in_columns(control, {task.id: rows_of(task, control, never) for task in tasks})


def in_columns(control: Control, by_task: Mapping[int, TaskRows | Sequence[Any]]) -> Collected:
    """Put what the tasks say on a control into columns.

    Parameters
    ----------
    by_task : mapping of int to TaskRows
        Lists of lists as well, as they come from JSON.
    """
    of_tasks, ids = list(by_task.values()), np.array([str(task) for task in by_task], dtype=object)
    voted, listed, gold, suggested, problems, settled = (
        _Rows([row[kind] for row in of_tasks]) for kind in range(6)
    )
    named = voted, listed, gold, settled
    tasks, of_row = _by_appearance(np.concatenate([rows.position for rows in named]))
    lengths = np.cumsum([len(rows) for rows in named[:-1]])
    task_codes = np.split(of_row, lengths)
    values = [value for rows in named for value in rows.column(0)]
    codes, label_names = _encode_labels(values, control.tag.labels if control.kind == "choices" else ())
    label_codes = np.split(codes, lengths)
    annotator_codes, annotator_names = encode(voted.column(1))
    votes = Votes(
        choice=control.choice,
        task=task_codes[0],
        annotator=annotator_codes,
        label=label_codes[0],
        vote=np.array(voted.column(2), dtype=np.int8),
        task_names=ids[tasks],
        annotator_names=annotator_names,
        label_names=label_names,
    )
    return Collected(
        control=control,
        votes=votes,
        submissions=Submissions(
            annotation=np.array(voted.column(3), dtype=np.int64),
            voted_at=_objects(voted.column(4)),
            lead_time=np.array(voted.column(5), dtype=np.float64),  # of None it makes NaN
            from_prediction=_objects(voted.column(6)),
            accepted=_objects(voted.column(7)),
        ),
        listed=Listed(task_codes[1], label_codes[1], np.array(listed.column(1), dtype=bool)),
        gold=Gold(task_codes[2], label_codes[2], np.array(gold.column(1), dtype=bool)),
        suggestions=None if control.kind == "verification" else _suggestions(suggested, tasks, label_names),
        problems=[
            Problem(task, sentence)
            for task, sentences in zip(by_task, problems.of_tasks, strict=True)
            for sentence in sentences
        ],
        settled=Gold(task_codes[3], label_codes[3], np.array(settled.column(1), dtype=bool)),
    )


class _Rows:
    """The rows of one kind of all tasks; each is at the position of its task."""

    def __init__(self, of_tasks: list[Sequence[Any]]) -> None:
        self.of_tasks = of_tasks
        self.position = np.repeat(np.arange(len(of_tasks)), [len(rows) for rows in of_tasks])
        self._rows = list(chain.from_iterable(of_tasks))

    def __len__(self) -> int:
        return len(self._rows)

    def column(self, number: int) -> list[Any]:
        return [row[number] for row in self._rows]


def _by_appearance(positions: Keys) -> tuple[Keys, Codes]:
    """Return the positions in the order in which they appear first, and where among these each is."""
    values, first, inverse = np.unique(positions, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return values[order], rank[inverse]


def _encode_labels(values: list[str | None], listed: Sequence[str]) -> tuple[Codes, Names]:
    codes, names = encode([value or "" for value in values if value is not None], list(listed))
    result = np.full(len(values), NO_LABEL)
    result[[value is not None for value in values]] = codes
    return result, names


def _suggestions(suggested: _Rows, tasks: Keys, label_names: Names) -> Suggestions:
    """Leave out what is suggested for tasks that nobody speaks of, and labels that the control does not have."""
    labels = {name: code for code, name in enumerate(label_names.tolist())}
    code_of_task = np.full(len(suggested.of_tasks), -1, dtype=np.int32)
    code_of_task[tasks] = np.arange(len(tasks), dtype=np.int32)
    task, label = code_of_task[suggested.position], [labels.get(name, -1) for name in suggested.column(0)]
    code, score = np.array(label, dtype=np.int32), np.array(suggested.column(1), dtype=np.float64)
    there = (task >= 0) & (code >= 0)
    return Suggestions(task[there], code[there], np.clip(score[there], 0, 1))


def _objects(values: list[Any]) -> NDArray[np.object_]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column

"""A model's suggestions from a file."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from consensus.core.arrays import Floats
from consensus.core.model.model_voter import Suggestions
from consensus.core.votes.votes import Votes
from consensus.errors import VotesError
from consensus.files.text_columns import codes_of, number, place, positions, read_columns


def read_suggested(path: Path, votes: Votes) -> tuple[Suggestions, list[str]]:
    """Read what a model suggests for the tasks of the votes.

    Parameters
    ----------
    path : Path
        Columns `task,label,score`, the score from 0 to 1.
    votes : Votes

    Returns
    -------
    suggested : Suggestions
        For tasks and labels that the votes have.
    notes : list of str
        What was left out.

    Raises
    ------
    VotesError
        Where the file cannot be read or a score is none; the message names the line.
    """
    table = read_columns(path, (("task", "label", "score"),))
    score = _scores(table["score"], path)
    task, label = positions(table["task"], votes.task_names), positions(table["label"], votes.label_names)
    there = (task >= 0) & (label >= 0)
    left_out = int((~there).sum())
    notes = [f"{path}: {left_out} suggestions are for tasks or labels that no vote has; they have no effect"]
    return Suggestions(task[there], label[there], score[there]), notes if left_out else []


def _scores(column: pa.ChunkedArray, path: Path) -> Floats:
    codes, texts = codes_of(column)
    scores = np.array([number(text) for text in texts], dtype=np.float64)
    wrong = np.flatnonzero(~((scores >= 0) & (scores <= 1))[codes])
    if wrong.size:
        row = int(wrong[0])
        raise VotesError(f"{place(path, row)}: score is {texts[codes[row]]!r}; use a number from 0 to 1")
    return np.asarray(scores[codes])

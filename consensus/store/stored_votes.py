"""What the last run stored of a project, as the core reads it: the reverse of `rows`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from consensus.core.arrays import Flags, Floats, Names
from consensus.core.routing.information_gain import (
    Questions,
    gain_by_task,
    gain_of_questions,
    mean_trust,
    open_questions,
)
from consensus.core.routing.open_classifications import Standing, open_rows
from consensus.core.votes.votes import encode
from consensus.store.reader import Row, Snapshot

BY_LOWER_BOUND = frozenset({"label-ai", "majority"})
"""Policies that reject by the confidence alone."""


@dataclass(frozen=True, eq=False)
class Asked:
    """One control of a project: where it stands, what is open, and what a vote of each annotator would tell.

    Attributes
    ----------
    control : str
    rows : list of dict
        Classifications as the store has them, in the order of the standing.
    standing : Standing
        Task codes are those of the project.
    is_open : (n_rows,) bool
    questions : Questions
    trust : (n_annotators + 1,) float64
        The last one is that of somebody unknown, who is taken for the average.
    gain : (n_questions, n_annotators + 1) float64
        Bits.
    gain_by_task : (n_tasks, n_annotators + 1) float64
        The same, added up.
    """

    control: str
    rows: list[Row]
    standing: Standing
    is_open: Flags
    questions: Questions
    trust: Floats
    gain: Floats
    gain_by_task: Floats


@dataclass(frozen=True, eq=False)
class Facts:
    """What the last run knew of a project.

    Attributes
    ----------
    run : dict
        Its row of the history.
    tasks : (n_tasks,) object
        Ids of the tasks that have a classification.
    annotators : (n_annotators,) object
        Names of those who have a vote.
    voted : dict of str to (n_tasks, n_annotators) bool
        By control: who has a vote on which task.
    controls : list of Asked
    counted : frozenset of (int, str)
        Annotations behind the votes: id and time.
    """

    run: Row
    tasks: Names
    annotators: Names
    voted: dict[str, Flags]
    controls: list[Asked]
    counted: frozenset[tuple[int, str]]

    @property
    def started_at(self) -> str:
        """When the run started, in UTC, as Label Studio writes times."""
        at: datetime = self.run["started_at"]
        aware = at if at.tzinfo else at.replace(tzinfo=UTC)  # SQLite forgets the zone
        return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    @property
    def fewest_votes(self) -> int:
        """Votes below which nothing is decided."""
        return int(np.ceil(self.run["thresholds"].get("fewest_votes", 0)))


def facts_of(store: Snapshot, project: int) -> Facts:
    """Read what the last run of a project found.

    Raises
    ------
    ConfigError
        Where the project has no run yet.
    """
    run = store.needed_run(project)
    rows, votes = store.classifications(project), store.votes(project)
    _, tasks = encode([row["task"] for row in rows])
    _, annotators = encode([row["annotator"] for row in votes])
    names = dict.fromkeys(row["control"] for row in rows)
    trusts = store.annotators(run["id"])
    return Facts(
        run=run,
        tasks=tasks,
        annotators=annotators,
        voted={
            name: _voted([one for one in votes if one["control"] == name], tasks, annotators) for name in names
        },
        controls=[
            _asked(
                name,
                [row for row in rows if row["control"] == name],
                run,
                tasks,
                _trust([one for one in trusts if one["control"] == name], annotators),
            )
            for name in names
        ],
        counted=frozenset((row["annotation"], row["voted_at"]) for row in votes),
    )


def _asked(control: str, rows: list[Row], run: Row, tasks: Names, trust: Floats) -> Asked:
    standing = standing_of(rows, tasks)
    lines = run["thresholds"]
    is_open = open_rows(
        standing,
        lines["reject"],
        by_lower_bound=run["policy"] in BY_LOWER_BOUND,
        fewest_votes=lines.get("fewest_votes", 0),
    )
    questions = open_questions(standing, is_open)
    gain = gain_of_questions(questions, trust)
    by_task = gain_by_task(questions, gain, len(tasks))
    return Asked(control, rows, standing, is_open, questions, trust, gain, by_task)


def standing_of(rows: Sequence[Row], tasks: Names) -> Standing:
    """Lay classifications of one control out in columns.

    Parameters
    ----------
    rows : sequence of dict
        As the store has them.
    tasks : (n_tasks,) object
        Ids that get the first codes, in this order.
    """
    label, label_names = encode([row["label"] for row in rows])
    return Standing(
        task=encode([row["task"] for row in rows], tasks)[0],
        label=label,
        given=np.array([row["given"] for row in rows], dtype=bool),
        yes=np.array([row["yes"] for row in rows], dtype=np.float64),
        no=np.array([row["no"] for row in rows], dtype=np.float64),
        confidence=np.array([row["confidence"] for row in rows], dtype=np.float64),
        posterior=np.array([row["posterior"] for row in rows], dtype=np.float64),
        report=np.array([row["report"] for row in rows], dtype=object),
        n_labels=len(label_names),
    )


def _voted(votes: Sequence[Row], tasks: Names, annotators: Names) -> Flags:
    voted = np.zeros((len(tasks), len(annotators)), dtype=bool)
    task = encode([row["task"] for row in votes], tasks)[0]
    there = task < len(tasks)  # a skipped task may have a vote and no classification
    who = encode([row["annotator"] for row in votes], annotators)[0]
    voted[task[there], who[there]] = True
    return voted


def _trust(rows: Sequence[Row], annotators: Names) -> Floats:
    """Trust of each annotator and, at the end, of somebody unknown, as is who has none on this control."""
    trust = np.array([row["trust"] for row in rows], dtype=np.float64)
    votes = np.array([row["votes"] for row in rows], dtype=np.float64)
    known = {row["annotator"]: row["trust"] for row in rows}
    average = mean_trust(np.minimum(trust, 1.0), votes)
    return np.array([*(known.get(name, average) for name in annotators), average], dtype=np.float64)

"""What the last run stored of a project, as the core reads it: the reverse of `rows`."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from consensus.core.arrays import Codes, Flags, Floats, Names
from consensus.core.routing.information_gain import (
    Questions,
    gain_by_task,
    gain_of_questions,
    mean_trust,
    open_questions,
)
from consensus.core.routing.open_classifications import BY_LOWER_BOUND, StoredClassifications, open_rows
from consensus.core.votes.votes import encode
from consensus.store.columns import Columns, Row, chosen
from consensus.store.reader import Snapshot
from consensus.store.tables import CLASSIFICATION, VOTE


@dataclass(frozen=True, eq=False)
class ControlState:
    """One control of a project: where it stands, what is open, and what a vote of each annotator would tell.

    Attributes
    ----------
    rows : dict of str to (n_rows,) array
        Classifications as the store has them, in the order of the standing.
    stored : StoredClassifications
        Task codes are those of the project.
    is_open : (n_rows,) bool
    trust : (n_annotators + 1,) float64
        The last one is that of somebody unknown, who is taken for the average.
    gain : (n_questions, n_annotators + 1) float64
        Bits.
    gain_by_task : (n_tasks, n_annotators + 1) float64
        The same, added up.
    """

    control: str
    rows: Columns
    stored: StoredClassifications
    is_open: Flags
    questions: Questions
    trust: Floats
    gain: Floats
    gain_by_task: Floats


@dataclass(frozen=True, eq=False)
class LastRun:
    """What the last run knew of a project.

    Attributes
    ----------
    run : dict
        Its row of the history.
    tasks : (n_tasks,) int64
        Ids of the tasks that have a classification, ascending.
    annotators : (n_annotators,) object
        Names of those who have a vote.
    voted : dict of str to (n_tasks, n_annotators) bool
        By control: who has a vote on which task.
    counted : frozenset of (int, str)
        Annotations behind the votes: id and time.
    """

    run: Row
    tasks: Names
    annotators: Names
    voted: dict[str, Flags]
    controls: list[ControlState]
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


def last_run_of(store: Snapshot, project: int) -> LastRun:
    """Read what the last run of a project found.

    Raises
    ------
    ConfigError
        Where the project has no run yet.
    """
    run, controls = store.needed_controls(project)
    rows = store.columns(CLASSIFICATION, project)
    votes = store.columns(VOTE, project, ("control", "task", "annotator", "annotation", "voted_at"))
    tasks = np.unique(rows["task"])
    annotators = np.array(sorted(set(votes["annotator"].tolist())), dtype=object)
    trusts = store.annotators(run["id"])
    names = [control for control in controls if (rows["control"] == control["control"]).any()]
    return LastRun(
        run=run,
        tasks=tasks,
        annotators=annotators,
        voted={
            control["control"]: _voted(chosen(votes, votes["control"] == control["control"]), tasks, annotators)
            for control in names
        },
        controls=[
            _state_of(
                control,
                chosen(rows, rows["control"] == control["control"]),
                run,
                tasks,
                _trust([row for row in trusts if row["control"] == control["control"]], annotators),
            )
            for control in names
        ],
        counted=frozenset(zip(votes["annotation"].tolist(), votes["voted_at"].tolist(), strict=True)),
    )


def _state_of(control: Row, rows: Columns, run: Row, tasks: Names, trust: Floats) -> ControlState:
    stored = stored_classifications(control, rows, tasks)
    lines = run["thresholds"]
    is_open = open_rows(
        stored,
        lines["reject"],
        by_lower_bound=run["policy"] in BY_LOWER_BOUND,
        fewest_votes=lines.get("fewest_votes", 0),
    )
    questions = open_questions(stored, is_open)
    gain = gain_of_questions(questions, trust)
    by_task = gain_by_task(questions, gain, len(tasks))
    return ControlState(control["control"], rows, stored, is_open, questions, trust, gain, by_task)


def stored_classifications(control: Row, rows: Columns, tasks: Names) -> StoredClassifications:
    """Lay classifications of one control out as the core reads them.

    Parameters
    ----------
    rows : dict of str to (n,) array
        As the store has them.
    tasks : (n_tasks,) int64
        Ids, ascending.
    """
    label, label_names = encode(rows["label"], control["labels"])
    return StoredClassifications(
        task=_position(tasks, rows["task"]),
        label=label,
        given=rows["given"],
        yes=rows["yes"].astype(np.float64),
        no=rows["no"].astype(np.float64),
        confidence=rows["confidence"],
        upper=rows["upper"],
        posterior=rows["posterior"],
        report=rows["report"],
        n_labels=len(label_names),
        one_of_many=control["choice"] == "single" and len(label_names) > 1,
    )


def _position(names: Names, of: Names) -> Codes:
    return np.searchsorted(names, of).astype(np.int32)


def _voted(votes: Columns, tasks: Names, annotators: Names) -> Flags:
    voted = np.zeros((len(tasks), len(annotators)), dtype=bool)
    there = np.isin(votes["task"], tasks)  # a skipped task may have a vote and no classification
    at = _position(tasks, votes["task"][there]), encode(votes["annotator"][there], annotators)[0]
    voted[at] = True
    return voted


def _trust(rows: list[Row], annotators: Names) -> Floats:
    """Trust of each annotator and, at the end, of somebody unknown, as is who has none on this control."""
    trust = np.array([row["trust"] for row in rows], dtype=np.float64)
    votes = np.array([row["votes"] for row in rows], dtype=np.float64)
    trust_of = {row["annotator"]: row["trust"] for row in rows}
    average = mean_trust(np.minimum(trust, 1.0), votes)
    return np.array([*(trust_of.get(name, average) for name in annotators), average], dtype=np.float64)

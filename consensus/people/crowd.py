"""What is known of all annotators of a project together, from all its votes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from consensus.core.arrays import Floats, Names
from consensus.core.people.agreement import Pairs, agreement
from consensus.core.people.answers import answers_of
from consensus.core.people.confusions import confusion_matrix
from consensus.people.annotator_report import StoredControl, believed_of, figures_of, stored_controls
from consensus.store.columns import Row
from consensus.store.reader import Snapshot
from consensus.store.store import Store

MOST_LABELS = 12
"""With more labels a confusion matrix is no longer read."""


@dataclass(frozen=True, eq=False)
class Crowd:
    """The annotators of a project.

    Attributes
    ----------
    figures : list of dict
        The rows of `annotator_report`, without their history.
    seconds : dict of str to float
        By annotator: how long the annotations that count took, as Label Studio measured it.
    pairs : dict of str to (Names, Pairs)
        By control: its annotators, and the kappa of every two of them.
    matrices : dict of str to ((n_labels,) str, (n_annotators, n_labels, n_labels) float64)
        By control with a single choice of few labels: how often an annotator said a label (row) where the
        consensus believes another (column), as expected numbers. The annotators are those of `pairs`.
    """

    figures: list[Row]
    seconds: dict[str, float]
    pairs: dict[str, tuple[Names, Pairs]]
    matrices: dict[str, tuple[list[str], Floats]]

    def of(self, annotator: str) -> dict[str, Row]:
        """Return the figures of an annotator by control."""
        return {row["control"]: row for row in self.figures if row["annotator"] == annotator}

    def partners(self, annotator: str, control: str) -> Iterator[tuple[str, int, float | None]]:
        """Yield who shares questions with an annotator, how many, and Cohen's kappa; the lowest kappa first."""
        names, pairs = self.pairs[control]
        own = np.flatnonzero(names[pairs.first] == annotator), np.flatnonzero(names[pairs.second] == annotator)
        rows, others = np.concatenate(own), np.concatenate([pairs.second[own[0]], pairs.first[own[1]]])
        for place in np.argsort(pairs.kappa[rows], kind="stable").tolist():
            kappa = float(pairs.kappa[rows[place]])
            yield str(names[others[place]]), int(pairs.questions[rows[place]]), None if np.isnan(kappa) else kappa

    def matrix(self, annotator: str, control: str) -> tuple[list[str], list[list[float]]] | None:
        """Return the labels of a control and an annotator's confusion matrix; None where they are too many."""
        if control not in self.matrices:
            return None
        labels, matrices = self.matrices[control]
        return labels, matrices[self.pairs[control][0] == annotator].sum(axis=0).tolist()


def crowd_of(store: Snapshot, project: int) -> Crowd:
    """Read all votes of a project, and measure its annotators."""
    controls = stored_controls(store, project)
    pairs, matrices = dict[str, tuple[Names, Pairs]](), dict[str, tuple[list[str], Floats]]()
    for control in controls:
        votes, answers = control.votes, answers_of(control.votes)
        pairs[control.name] = votes.annotator_names, agreement(answers)[1]
        if votes.choice == "single" and votes.n_labels <= MOST_LABELS:
            labels = [str(name) for name in votes.label_names]
            matrices[control.name] = labels, confusion_matrix(answers, believed_of(control, answers))
    return Crowd(figures_of(store, project, controls), _seconds(controls), pairs, matrices)


def measured_crowd(store: Store, project: int) -> Crowd:
    """Do the same in one state of a store."""
    with store.snapshot() as snapshot:
        return crowd_of(snapshot, project)


def _seconds(controls: list[StoredControl]) -> dict[str, float]:
    """Add up the time of each annotation once, on however many controls it votes."""
    names = np.concatenate([control.rows["annotator"] for control in controls])
    numbers = np.concatenate([control.rows["annotation"] for control in controls])
    times = np.concatenate([control.rows["lead_time"].astype(np.float64) for control in controls])
    _, first = np.unique(numbers, return_index=True)
    first = first[~np.isnan(times[first])]
    who, at = np.unique(names[first], return_inverse=True)
    return dict(zip(map(str, who.tolist()), np.bincount(at, times[first]).tolist(), strict=True))

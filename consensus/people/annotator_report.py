"""What is known of the annotators of a project, from what its last run stored."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from consensus.core.arrays import Codes, Keys, Names
from consensus.core.people.agreement import Agreement, Pairs, about_answer, agreement
from consensus.core.people.answers import YES_CODE, Answers, answers_of, chosen
from consensus.core.people.confusions import Believed, Confusions, agreement_with_consensus, believed, confusions
from consensus.core.people.suspicion import measure
from consensus.core.votes.votes import NO_LABEL, STANDS, Votes, encode
from consensus.people.gold import gold_of
from consensus.store.columns import Columns, Positions, Row
from consensus.store.columns import chosen as chosen_rows
from consensus.store.reader import Snapshot
from consensus.store.tables import CLASSIFICATION, VOTE

BELIEVED = ("control", "task", "label", "posterior")
"""Columns of the classifications that are read."""


@dataclass(frozen=True, eq=False)
class StoredControl:
    """What the last run stored of one control.

    Attributes
    ----------
    votes : Votes
        The annotators' codes are in the order of their names.
    rows : dict of str to (n_votes,) array
        The rows of the votes.
    classifications : dict of str to (n_classifications,) array
    """

    name: str
    votes: Votes
    rows: Columns
    classifications: Columns


def stored_controls(store: Snapshot, project: int) -> list[StoredControl]:
    """Read the votes and classifications of a project, control by control.

    Raises
    ------
    ConfigError
        Where the project has no run in this store, or none since the store learned of controls.
    """
    _, controls = store.needed_controls(project)
    votes, classifications = store.columns(VOTE, project), store.columns(CLASSIFICATION, project, BELIEVED)
    stored = []
    for control in controls:
        rows = chosen_rows(votes, votes["control"] == control["control"])
        of_control = chosen_rows(classifications, classifications["control"] == control["control"])
        stored.append(StoredControl(control["control"], _votes(control, rows, of_control), rows, of_control))
    return stored


def _votes(control: Row, rows: Columns, classifications: Columns) -> Votes:
    task_names = np.union1d(rows["task"], classifications["task"])
    annotator, annotator_names = encode(rows["annotator"], sorted(set(rows["annotator"].tolist())))
    has_label = rows["label"] != ""
    labels, label_names = encode(rows["label"][has_label], control["labels"])
    label = np.full(len(has_label), NO_LABEL, dtype=np.int32)
    label[has_label] = labels
    return Votes(
        choice=control["choice"],
        task=_codes(rows["task"], task_names),
        annotator=annotator,
        label=label,
        vote=np.fromiter(map(STANDS.__getitem__, rows["vote"]), np.int8, len(label)),
        task_names=task_names,
        annotator_names=annotator_names,
        label_names=label_names,
    )


def _codes(tasks: Keys, names: Keys | Names) -> Codes:
    return np.searchsorted(names, tasks).astype(np.int32)


def annotator_report(store: Snapshot, project: int) -> list[Row]:
    """List what is known of each annotator on each control.

    Returns
    -------
    list of dict
        control, annotator, votes, trust, trust_low, trust_high, gold_answered, gold_right, gold_low (bounds of the
        share that is right), gold_high, with_consensus, with_others, spammer_score,
        seconds, others_seconds, suggested, compared, accepted, confusions, suspicions, history; None where
        something is not known.
    """
    history = defaultdict[tuple[str, str], list[Row]](list)
    for row in store.trust_history(project):
        entry = {name: row[name] for name in ("run", "votes", "trust", "trust_low", "trust_high")}
        history[row["control"], row["annotator"]].append({"at": row["started_at"].isoformat()[:19], **entry})
    rows = figures_of(store, project, stored_controls(store, project))
    return [{**row, "history": history[row["control"], row["annotator"]]} for row in rows]


def figures_of(store: Snapshot, project: int, controls: Iterable[StoredControl]) -> list[Row]:
    """Return the rows of `annotator_report` without their history."""
    run = store.needed_run(project)
    in_run = {(row["control"], row["annotator"]): row for row in store.annotators(run["id"])}
    return [row for control in controls for row in _figures_of(control, in_run)]


def _figures_of(control: StoredControl, in_run: Mapping[tuple[str, str], Row]) -> Iterator[Row]:
    names = [str(name) for name in control.votes.annotator_names]
    trust = np.array([in_run[control.name, name]["trust"] for name in names])
    _, annotation = np.unique(control.rows["annotation"], return_index=True)
    answers = answers_of(control.votes)
    seconds = control.rows["lead_time"][annotation]
    assessment = measure(answers, trust, control.votes.annotator[annotation], seconds)
    belief = believed_of(control, answers)
    with_consensus, mistaken = agreement_with_consensus(answers, belief), confusions(answers, belief)
    suggestions = _suggestions(control, annotation)
    for position, name in enumerate(names):
        row = in_run[control.name, name]
        yield {
            "control": control.name,
            "annotator": name,
            **{key: row[key] for key in ("votes", "trust", "trust_low", "trust_high")},
            **gold_of(row),
            "with_consensus": _known(with_consensus[position]),
            "with_others": _known(assessment.agreement[position]),
            "spammer_score": _known(assessment.spammer_score[position]),
            "seconds": _known(assessment.speed.seconds[position]),
            "others_seconds": _known(assessment.speed.others[position]),
            **{column: int(counts[position]) for column, counts in suggestions.items()},
            "confusions": _confusions(control.votes, mistaken, position),
            "suspicions": row["suspicions"],
        }


def believed_of(control: StoredControl, answers: Answers) -> Believed:
    """Look up what the last run believes of the answers to a control."""
    votes, rows = control.votes, control.classifications
    label, _ = encode(rows["label"], votes.label_names)
    task = _codes(rows["task"], votes.task_names)
    order = np.lexsort((label, task))
    order = order[label[order] < votes.n_labels]  # labels that nobody can choose any more
    return believed(answers, votes.choice, task[order], label[order], rows["posterior"][order], votes.n_labels)


def _confusions(votes: Votes, mistaken: Confusions, annotator: int) -> list[Row]:
    yes_or_no = {YES_CODE: "yes"}
    result = []
    for row in np.flatnonzero(mistaken.annotator == annotator).tolist():
        answer, truth, topic = (int(column[row]) for column in (mistaken.answer, mistaken.truth, mistaken.topic))
        times = round(float(mistaken.times[row]), 1)
        if votes.choice == "single":
            names = (str(votes.label_names[answer]), str(votes.label_names[truth]))
            result.append({"said": names[0], "consensus": names[1], "times": times})
        else:
            label = str(votes.label_names[topic])
            words = (yes_or_no.get(answer, "no"), yes_or_no.get(truth, "no"))
            result.append({"label": label, "said": words[0], "consensus": words[1], "times": times})
    return result


def _suggestions(control: StoredControl, annotation: Positions) -> dict[str, Keys]:
    """Annotations that began from a suggestion, those of them that can be compared, and those left as it was."""
    annotator = control.votes.annotator[annotation]
    suggestion, accepted = (control.rows[name][annotation] for name in ("from_prediction", "accepted"))
    is_known = {"suggested": suggestion != None, "compared": accepted != None, "accepted": accepted == True}  # noqa: E711, E712  # of each row
    n_annotators = control.votes.n_annotators
    return {
        column: np.bincount(annotator[rows.astype(bool)], minlength=n_annotators)
        for column, rows in is_known.items()
    }


def agreements(store: Snapshot, project: int) -> tuple[list[Row], list[Row]]:
    """Measure the agreement of a project, per control and per label.

    Returns
    -------
    list of dict
        control, label (empty: all of them), krippendorff_alpha, fleiss_kappa, cohen_kappa (mean over the pairs),
        questions, answers, pairs, compared.
    list of dict
        The pairs behind: control, label, annotator, other, cohen_kappa, questions.
    """
    summary: list[Row] = []
    details: list[Row] = []
    for control in stored_controls(store, project):
        for label, answers in _by_label(control.votes, answers_of(control.votes)):
            measured, pairs = agreement(answers)
            summary.append({"control": control.name, "label": label, **_agreement_row(measured)})
            details += _pair_rows(control, label, pairs)
    return summary, details


def _by_label(votes: Votes, answers: Answers) -> Iterator[tuple[str, Answers]]:
    """All answers of a control, then those about each of its labels."""
    yield "", answers
    for code, name in enumerate(votes.label_names):
        if votes.choice == "single":
            yield str(name), about_answer(answers, code)
        else:
            yield str(name), chosen(answers, answers.topic[answers.question] == code)


def _agreement_row(measured: Agreement) -> Row:
    return {
        "krippendorff_alpha": _known(measured.alpha),
        "fleiss_kappa": _known(measured.fleiss),
        "cohen_kappa": _known(measured.cohen),
        "questions": measured.questions,
        "answers": measured.answers,
        "pairs": measured.pairs,
        "compared": measured.compared,
    }


def _pair_rows(control: StoredControl, label: str, pairs: Pairs) -> Iterator[Row]:
    names = control.votes.annotator_names
    for first, second, questions, kappa in zip(
        pairs.first, pairs.second, pairs.questions, pairs.kappa, strict=True
    ):
        yield {
            "control": control.name,
            "label": label,
            "annotator": str(names[first]),
            "other": str(names[second]),
            "cohen_kappa": _known(kappa),
            "questions": int(questions),
        }


def _known(value: Any) -> float | None:  # noqa: ANN401  # a number of numpy or of Python
    return None if np.isnan(value) else round(float(value), 6)

"""Facts about the annotators of a project, from what its last run stored."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from consensus.core.arrays import Floats
from consensus.core.people.agreement import Agreement, Pairs, about_answer, agreement
from consensus.core.people.answers import YES_CODE, Answers, answers_of, chosen
from consensus.core.people.confusions import Believed, Confusions, agreement_with_consensus, believed, confusions
from consensus.core.people.suspicion import Assessment, assess
from consensus.core.votes.votes import NO_LABEL, STANDS, Votes, encode
from consensus.store.columns import Row
from consensus.store.reader import Snapshot
from consensus.store.rows import moments


@dataclass(frozen=True, eq=False)
class Stored:
    """What the last run stored of one control.

    Attributes
    ----------
    control : str
    votes : Votes
    rows : list of dict
        The rows of the votes.
    classifications : list of dict
    """

    control: str
    votes: Votes
    rows: list[Row]
    classifications: list[Row]


def stored_controls(store: Snapshot, project: int) -> list[Stored]:
    """Read the votes and classifications of a project, control by control.

    Raises
    ------
    ConfigError
        Where the project has no run in this store, or none since the store learned of controls.
    """
    _, controls = store.needed_controls(project)
    votes, classifications = defaultdict[str, list[Row]](list), defaultdict[str, list[Row]](list)
    for row in store.votes(project):
        votes[row["control"]].append(row)
    for row in store.classifications(project):
        classifications[row["control"]].append(row)
    return [
        Stored(name, _votes(one, votes[name], classifications[name]), votes[name], classifications[name])
        for one in controls
        for name in [one["control"]]
    ]


def _votes(control: Row, rows: Sequence[Row], classifications: Sequence[Row]) -> Votes:
    tasks, task_names = encode([row["task"] for row in rows], [row["task"] for row in classifications])
    annotators, annotator_names = encode([row["annotator"] for row in rows])
    labels, label_names = encode([row["label"] for row in rows if row["label"]], control["labels"])
    label = np.full(len(rows), NO_LABEL, dtype=np.int32)
    label[[bool(row["label"]) for row in rows]] = labels
    return Votes(
        choice=control["choice"],
        task=tasks,
        annotator=annotators,
        label=label,
        vote=np.array([STANDS[row["vote"]] for row in rows], dtype=np.int8),
        task_names=task_names,
        annotator_names=annotator_names,
        label_names=label_names,
    )


def people(store: Snapshot, project: int) -> list[Row]:
    """List what is known of each annotator on each control.

    Returns
    -------
    list of dict
        control, annotator, votes, trust, trust_low, trust_high, with_consensus, with_others, spammer_score,
        seconds, others_seconds, suggested, compared, accepted, confusions, suspicions, history; None where
        something is not known.
    """
    controls = stored_controls(store, project)
    run = store.needed_run(project)
    known = {(row["control"], row["annotator"]): row for row in store.annotators(run["id"])}
    history = defaultdict[tuple[str, str], list[Row]](list)
    for row in store.trust_history(project):
        entry = {name: row[name] for name in ("run", "votes", "trust", "trust_low", "trust_high")}
        history[row["control"], row["annotator"]].append({"at": row["started_at"].isoformat()[:19], **entry})
    return [row for one in controls for row in _people_of(one, known, history)]


def _people_of(
    one: Stored, known: Mapping[tuple[str, str], Row], history: Mapping[tuple[str, str], list[Row]]
) -> Iterator[Row]:
    names = [str(name) for name in one.votes.annotator_names]
    trust = np.array([known[one.control, name]["trust"] for name in names])
    assessment, answers = _assess(one, trust), answers_of(one.votes)
    belief = _believed(one, answers)
    with_consensus, mistaken = agreement_with_consensus(answers, belief), confusions(answers, belief)
    suggestions = _suggestions(one.rows)
    for position, name in enumerate(names):
        row = known[one.control, name]
        yield {
            "control": one.control,
            "annotator": name,
            **{key: row[key] for key in ("votes", "trust", "trust_low", "trust_high")},
            "with_consensus": _known(with_consensus[position]),
            "with_others": _known(assessment.agreement[position]),
            "spammer_score": _known(assessment.spammer_score[position]),
            "seconds": _known(assessment.speed.seconds[position]),
            "others_seconds": _known(assessment.speed.others[position]),
            **suggestions[name],
            "confusions": _confusions(one.votes, mistaken, position),
            "suspicions": row["suspicions"],
            "history": history[one.control, name],
        }


def _assess(one: Stored, trust: Floats) -> Assessment:
    _, first = np.unique([row["annotation"] for row in one.rows], return_index=True)
    times = [one.rows[row]["lead_time"] for row in first.tolist()]
    seconds = np.array([np.nan if time is None else time for time in times], dtype=np.float64)
    voted = moments(row["voted_at"] for row in one.rows)
    return assess(one.votes, trust, one.votes.annotator[first], seconds, voted)


def _believed(one: Stored, answers: Answers) -> Believed:
    task_codes = {name: code for code, name in enumerate(one.votes.task_names)}
    label_codes = {name: code for code, name in enumerate(one.votes.label_names)}
    rows = [row for row in one.classifications if row["label"] in label_codes]
    task = np.array([task_codes[row["task"]] for row in rows], dtype=np.int32)
    label = np.array([label_codes[row["label"]] for row in rows], dtype=np.int32)
    posterior = np.array([row["posterior"] for row in rows], dtype=np.float64)
    order = np.lexsort((label, task))
    return believed(answers, one.votes.choice, task[order], label[order], posterior[order], one.votes.n_labels)


def _confusions(votes: Votes, found: Confusions, annotator: int) -> list[Row]:
    yes_or_no = {YES_CODE: "yes"}
    result = []
    for row in np.flatnonzero(found.annotator == annotator).tolist():
        said, truth, topic = (int(column[row]) for column in (found.answer, found.truth, found.topic))
        times = round(float(found.times[row]), 1)
        if votes.choice == "single":
            names = (str(votes.label_names[said]), str(votes.label_names[truth]))
            result.append({"said": names[0], "consensus": names[1], "times": times})
        else:
            label = str(votes.label_names[topic])
            words = (yes_or_no.get(said, "no"), yes_or_no.get(truth, "no"))
            result.append({"label": label, "said": words[0], "consensus": words[1], "times": times})
    return result


def _suggestions(rows: Sequence[Row]) -> dict[str, Row]:
    """Annotations that began from a suggestion, those of them that can be compared, and those left as it was."""
    counts: dict[str, Row] = {row["annotator"]: {"suggested": 0, "compared": 0, "accepted": 0} for row in rows}
    for row in {row["annotation"]: row for row in rows}.values():
        count = counts[row["annotator"]]
        count["suggested"] += row["from_prediction"] is not None
        count["compared"] += row["accepted"] is not None
        count["accepted"] += bool(row["accepted"])
    return counts


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
    for one in stored_controls(store, project):
        answers = answers_of(one.votes)
        for label, part in _parts(one.votes, answers):
            found, pairs = agreement(part)
            summary.append({"control": one.control, "label": label, **_agreement_row(found)})
            details += _pair_rows(one, label, pairs)
    return summary, details


def _parts(votes: Votes, answers: Answers) -> Iterator[tuple[str, Answers]]:
    """All answers of a control, then those about each of its labels."""
    yield "", answers
    for code, name in enumerate(votes.label_names):
        if votes.choice == "single":
            yield str(name), about_answer(answers, code)
        else:
            yield str(name), chosen(answers, answers.topic[answers.question] == code)


def _agreement_row(found: Agreement) -> Row:
    return {
        "krippendorff_alpha": _known(found.alpha),
        "fleiss_kappa": _known(found.fleiss),
        "cohen_kappa": _known(found.cohen),
        "questions": found.questions,
        "answers": found.answers,
        "pairs": found.pairs,
        "compared": found.compared,
    }


def _pair_rows(one: Stored, label: str, pairs: Pairs) -> Iterator[Row]:
    names = one.votes.annotator_names
    for first, second, questions, kappa in zip(
        pairs.first, pairs.second, pairs.questions, pairs.kappa, strict=True
    ):
        yield {
            "control": one.control,
            "label": label,
            "annotator": str(names[first]),
            "other": str(names[second]),
            "cohen_kappa": _known(kappa),
            "questions": int(questions),
        }


def _known(value: Any) -> float | None:  # noqa: ANN401  # a number of numpy or of Python
    return None if np.isnan(value) else round(float(value), 6)

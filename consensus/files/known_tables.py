"""Tables of other programs: which of their columns are task, annotator and label, and JSON as such a table."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.contract import MACHINE_ACCOUNT, decision_in, is_of_report
from common.label_studio.annotations import changed_by
from consensus.core.votes.from_annotations import UNKNOWN_ACCOUNT
from consensus.errors import VotesError

JSON = (".json", ".jsonl", ".ndjson")

SYNONYMS = {
    "task": ("task", "task_id", "item", "item_id", "example_id", "question"),
    "annotator": ("annotator", "annotator_id", "worker", "worker_id", "performer", "rater", "coder"),
    "label": ("label", "answer", "response"),
}
LABEL_STUDIO = {"annotation_id", "annotator", "lead_time"}
FIRST_OF_WIDE = {"", "unnamed: 0", "index", "id", "task", "task_id", "item", "item_id", "example"}
NUMBERED = re.compile(r"[a-z_ .-]*\d+|[^@ ]+@[^@ ]+", re.IGNORECASE)
"""How the columns of annotators are called in a table that has one for each: numbered, or by address."""

Row = dict[str, str | None]


@dataclass(frozen=True)
class Known:
    """A table of another program.

    Attributes
    ----------
    program : str
        What it was taken for.
    columns : mapping of str to str
        Ours, and how the file spells them.
    annotators : sequence of str
        Columns of labels, where each annotator has one.
    """

    program: str
    columns: Mapping[str, str]
    annotators: Sequence[str] = ()

    @property
    def sentence(self) -> str:
        """What the file was taken for."""
        spelled = [f"{column} is {name!r}" for column, name in self.columns.items()]
        columns = f", and {len(self.annotators)} columns are annotators" if self.annotators else ""
        return f"read as {self.program}: {', '.join(spelled)}{columns}"


@dataclass(frozen=True)
class Rows:
    """The rows of a JSON file.

    Attributes
    ----------
    program : str
    columns : mapping of str to list of str or None
    entries : list of int
        Of each row, which entry of the file it is of, from 1.
    several : bool
        Whether an annotator chose several labels of a task.
    """

    program: str
    columns: Mapping[str, list[str | None]]
    entries: list[int]
    several: bool


def recognise(names: Sequence[str], path: Path) -> Known | None:
    """Return what a table with these columns is taken for; None where it is no one that is known."""
    lower = [name.lower() for name in names]
    if any(name.startswith(("input:", "output:")) for name in lower):
        answer = _only(names, "OUTPUT:", path)
        inputs = [name for name in names if name.lower().startswith("input:")]
        task = inputs[0] if len(inputs) == 1 else _named(names, "ASSIGNMENT:task_id", path)
        columns = {"task": task, "annotator": _named(names, "ASSIGNMENT:worker_id", path), "label": answer}
        return Known("results of Toloka", columns)
    if {"hitid", "workerid"} <= {*lower}:
        columns = {"task": _named(names, "HITId", path), "annotator": _named(names, "WorkerId", path)}
        return Known("results of Mechanical Turk", {**columns, "label": _only(names, "Answer.", path)})
    if {*lower} >= LABEL_STUDIO | {"id"}:
        labels = names[lower.index("id") + 1 : lower.index("annotator")]
        if len(labels) != 1:
            raise VotesError(
                f"{path} is an export of Label Studio with the results {', '.join(labels) or 'none'}; "
                "keep one of their columns between id and annotator"
            )
        columns = {"task": names[lower.index("id")], "annotator": names[lower.index("annotator")]}
        return Known("an export of Label Studio", {**columns, "label": labels[0]})
    fitting = {role: [name for name in names if name.lower() in SYNONYMS[role]] for role in SYNONYMS}
    if all(len(columns) == 1 for columns in fitting.values()):
        return Known("a table of votes", {role: columns[0] for role, columns in fitting.items()})
    if len(names) > 2 and lower[0] in FIRST_OF_WIDE and all(map(NUMBERED.fullmatch, names[1:])):  # noqa: PLR2004
        return Known("a column for each annotator", {"task": names[0]}, names[1:])
    return None


def _only(names: Sequence[str], prefix: str, path: Path) -> str:
    fitting = [name for name in names if name.lower().startswith(prefix.lower())]
    if len(fitting) != 1:
        raise VotesError(f"{path} has the answers {', '.join(fitting) or 'none'}; keep one column of {prefix}…")
    return fitting[0]


def _named(names: Sequence[str], column: str, path: Path) -> str:
    name = next((name for name in names if name.lower() == column.lower()), None)
    if name is None:
        raise VotesError(f"{path} has no column {column}; add it")
    return name


def read_json(path: Path) -> Rows:
    """Read the votes of a JSON file: Label Studio's export, Prodigy's, peerannot's answers, or rows as objects.

    Raises
    ------
    VotesError
        Where it is another; the message names the line or entry.
    """
    content = _content(path)
    if isinstance(content, dict) and all(isinstance(answers, dict) for answers in content.values()):
        answers = [
            (number, {"task": task, "annotator": who, "label": _text(label)})
            for number, (task, by_annotator) in enumerate(content.items(), start=1)
            for who, label in by_annotator.items()
        ]
        return _laid_out("answers of peerannot", answers)
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise VotesError(f"{path} holds neither a list of objects nor answers by task; export it anew, or use CSV")
    if any("annotations" in entry for entry in content):
        return _laid_out("an export of Label Studio", _label_studio_rows(content, path))
    if any("_task_hash" in entry for entry in content):
        return _laid_out("annotations of Prodigy", _prodigy_rows(content, path))
    rows = [
        (number, {key: _text(value) for key, value in entry.items()}) for number, entry in enumerate(content, 1)
    ]
    return _laid_out("rows as JSON objects", rows)


def _content(path: Path) -> Any:  # noqa: ANN401  # whatever the file holds
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text)
        return content if path.suffix.lower() == JSON[0] else [content]
    except UnicodeDecodeError as error:
        raise VotesError(f"{path} is no UTF-8 text ({error.reason}); save it as UTF-8") from None
    except ValueError as error:
        whole = error
    entries = []
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            entries += [json.loads(line)] if line.strip() else []
        except ValueError as error:
            wrong = whole if number == 1 else f"line {number}: {error}"
            raise VotesError(
                f"{path} is neither JSON nor a JSON object a line ({wrong}); export it anew"
            ) from None
    return entries


def _laid_out(program: str, rows: Sequence[tuple[int, Row]]) -> Rows:
    names = dict.fromkeys(name for _, row in rows for name in row)
    entries = [entry for entry, _ in rows]
    submissions = [(entry, row.get("annotator")) for entry, row in rows if "vote" not in row]
    several = program.startswith(("an export", "annotations")) and len({*submissions}) < len(submissions)
    return Rows(program, {name: [row.get(name) for _, row in rows] for name in names}, entries, several)


def _label_studio_rows(tasks: Sequence[dict[str, Any]], path: Path) -> list[tuple[int, Row]]:
    """Choices about whole tasks, the latest annotation of each annotator; no skips, and nothing that settles."""
    rows: list[tuple[int, Row]] = []
    controls: set[str] = set()
    for number, task in enumerate(tasks, start=1):
        latest: dict[str, list[str | None]] = {}
        annotations = sorted(task.get("annotations") or (), key=lambda made: str(made.get("updated_at") or ""))
        for annotation in annotations:
            if annotation.get("was_cancelled") or _settles(annotation):
                continue
            regions = [region for region in annotation.get("result") or () if _about_the_task(region)]
            controls.update(str(region.get("from_name")) for region in regions)
            chosen = [_text(label) for region in regions for label in region["value"]["choices"]]
            latest[_annotator(annotation)] = chosen
        for annotator, labels in latest.items():
            rows += [
                (number, {"task": _text(task.get("id")), "annotator": annotator, "label": label})
                for label in labels
            ]
    if len(controls) > 1:
        raise VotesError(
            f"{path} has choices of the controls {', '.join(sorted(controls))}; export one of them, or use "
            "`consensus run`, which reads the project"
        )
    return rows


def _settles(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotation is somebody's decision, or the machine account's, and no vote."""
    result = annotation.get("result")
    return bool(
        annotation.get("ground_truth")
        or decision_in(result)
        or is_of_report(result)
        or changed_by(annotation) is not None
        or _annotator(annotation) == MACHINE_ACCOUNT
    )


def _about_the_task(region: Mapping[str, Any]) -> bool:
    return region.get("type") == "choices" and {*(region.get("value") or ())} == {"choices"}


def _annotator(annotation: Mapping[str, Any]) -> str:
    account = annotation.get("completed_by")
    if isinstance(account, Mapping):
        account = account.get("email") or account.get("id")
    return f"{UNKNOWN_ACCOUNT}of annotation {annotation.get('id')}" if account is None else str(account)


def _prodigy_rows(entries: Sequence[dict[str, Any]], path: Path) -> list[tuple[int, Row]]:
    """Options that were accepted, or the answer to one label."""
    rows: list[tuple[int, Row]] = []
    stands = {"accept": "yes", "reject": "no", "ignore": "unsure"}
    for number, entry in enumerate(entries, start=1):
        row = {
            "task": _text(entry.get("_task_hash")),
            "annotator": _text(entry.get("_annotator_id") or entry.get("_session_id")),
        }
        answer = str(entry.get("answer"))
        if answer not in stands:
            raise VotesError(f"{path}, entry {number}: answer {answer!r} is unknown; use accept, reject or ignore")
        if "accept" in entry:
            accepted = entry["accept"] if answer == "accept" else ()
            rows += [(number, {**row, "label": _text(label)}) for label in accepted]
        else:
            rows.append((number, {**row, "label": _text(entry.get("label")), "vote": stands[answer]}))
    return rows


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)

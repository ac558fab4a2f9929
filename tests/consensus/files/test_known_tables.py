"""Tables of other programs become the votes that they hold, and it is said what they were taken for."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest

from common.contract import MACHINE_ACCOUNT, DecisionMark, decision_meta
from consensus.core.votes.votes import NO, YES
from consensus.errors import VotesError
from consensus.files.votes_files import Ballot, read_ballot

Choice = Literal["single", "multiple"]
VOTES = [("7", "1", "cat"), ("7", "2", "dog"), ("8", "1", "dog")]


def annotation(annotator: object, *labels: str, day: int = 1, **more: object) -> dict[str, Any]:
    """An annotation as Label Studio exports it."""
    region = {"from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": [*labels]}}
    return {"id": 1, "completed_by": annotator, "updated_at": f"2026-01-0{day}", "result": [region], **more}


def task(number: int, *annotations: dict[str, Any]) -> dict[str, Any]:
    """A task as Label Studio exports it."""
    return {"id": number, "data": {"image": "a.png"}, "annotations": [*annotations]}


def lines(*entries: dict[str, Any]) -> str:
    """JSON Lines."""
    return "\n".join(map(json.dumps, entries)) + "\n"


def read(folder: Path, name: str, content: str, choice: Choice = "single") -> Ballot:
    """What a file holds."""
    (folder / name).write_text(content)
    return read_ballot(folder / name, None, None, choice)


def votes_of(ballot: Ballot) -> list[tuple[str, str, str]]:
    """Task, annotator and label of each vote."""
    votes = ballot.votes
    names = votes.task_names[votes.task], votes.annotator_names[votes.annotator], votes.label_names[votes.label]
    return list(zip(*(column.tolist() for column in names), strict=True))


@pytest.mark.parametrize(
    ("name", "content", "program"),
    [
        ("v.csv", "task,worker,label\n7,1,cat\n7,2,dog\n8,1,dog\n", "a table of votes: task is 'task'"),
        ("v.csv", "Item_ID,RATER,Answer\n7,1,cat\n7,2,dog\n8,1,dog\n", "a table of votes: task is 'Item_ID'"),
        (
            "v.tsv",
            "INPUT:image\tOUTPUT:kind\tGOLDEN:kind\tASSIGNMENT:worker_id\n7\tcat\t\t1\n7\tdog\t\t2\n8\tdog\t\t1\n",
            "results of Toloka",
        ),
        (
            "v.csv",
            '"HITId","WorkerId","Input.url","Answer.kind"\n"7","1","a","cat"\n"7","2","a","dog"\n"8","1","b","dog"\n',
            "results of Mechanical Turk",
        ),
        (
            "v.csv",
            "image,id,kind,annotator,annotation_id,lead_time\na,7,cat,1,1,2\na,7,dog,2,2,2\nb,8,dog,1,3,2\n",
            "an export of Label Studio",
        ),
        (
            "v.json",
            json.dumps([
                {"image": "a", "id": number, "kind": label, "annotator": who, "annotation_id": 1, "lead_time": 2}
                for number, who, label in ((7, 1, "cat"), (7, 2, "dog"), (8, 1, "dog"))
            ]),
            "an export of Label Studio",
        ),
        (
            "v.json",
            json.dumps([
                task(7, annotation(1, "cat", day=2), annotation(1, "dog"), annotation({"id": 2}, "dog")),
                task(8, annotation(1, "dog"), annotation(3, "cat", was_cancelled=True)),
                task(9, annotation(4, "cat", ground_truth=True)),
            ]),
            "an export of Label Studio",
        ),
        ("v.csv", ",1,2\n7,cat,dog\n8,dog,\n", "a column for each annotator: task is '', and 2 col"),
        ("answers.json", json.dumps({"7": {"1": "cat", "2": "dog"}, "8": {"1": "dog"}}), "answers of peerannot"),
        (
            "v.jsonl",
            lines(
                {"_task_hash": 7, "_annotator_id": "1", "accept": ["cat"], "answer": "accept"},
                {"_task_hash": 7, "_annotator_id": "2", "accept": ["dog"], "answer": "accept"},
                {"_task_hash": 8, "_session_id": "1", "accept": ["dog"], "answer": "accept"},
                {"_task_hash": 8, "_session_id": "2", "accept": ["dog"], "answer": "ignore"},
            ),
            "annotations of Prodigy",
        ),
        (
            "v.jsonl",
            lines(*({"task": number, "annotator": who, "label": label} for number, who, label in VOTES)),
            "rows as JSON objects",
        ),
    ],
)  # fmt: skip
def test_what_other_programs_write_is_read(tmp_path: Path, name: str, content: str, program: str) -> None:
    """Whatever the table is like, the three votes are these, and a note says what it was taken for."""
    ballot = read(tmp_path, name, content)
    assert votes_of(ballot) == VOTES
    assert f"is read as {program}" in ballot.notes[0]


def test_accepted_and_rejected_labels_are_votes_of_yes_and_no(tmp_path: Path) -> None:
    """Prodigy asks about one label at a time."""
    entry = {"_task_hash": 7, "label": "cat"}
    ballot = read(
        tmp_path,
        "v.jsonl",
        lines(
            {**entry, "_annotator_id": "1", "answer": "accept"},
            {**entry, "_annotator_id": "2", "answer": "reject"},
        ),
    )
    assert (ballot.votes.choice, ballot.votes.vote.tolist()) == ("each", [YES, NO])


def test_several_chosen_labels_are_a_multiple_choice(tmp_path: Path) -> None:
    """Taken for a single choice, the first of them would be lost."""
    export = json.dumps([task(7, annotation(1, "cat", "dog"))])
    with pytest.raises(VotesError, match="annotators chose several labels of a task; add --choice multiple"):
        read(tmp_path, "v.json", export)
    assert votes_of(read(tmp_path, "v.json", export, "multiple")) == [("7", "1", "cat"), ("7", "1", "dog")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.csv", "HITId,WorkerId,Answer.a,Answer.b\n1,1,x,y\n", "has the answers Answer.a, Answer.b; keep"),
        ("v.tsv", "INPUT:a\tOUTPUT:b\n1\tx\n", "has no column ASSIGNMENT:worker_id; add it"),
        ("v.csv", "id,a,b,annotator,annotation_id,lead_time\n", "with the results a, b; keep one of their"),
        ("v.csv", "task,cat,dog\n1,1,0\n", "has the columns task, cat, dog; expected task,annotator,label"),
        ("v.json", "votes", "is neither JSON nor a JSON object a line"),
        ("v.jsonl", '{"task": 1}\n{"task"\n', "neither JSON nor a JSON object a line .line 2: "),
        ("v.json", '{"7": ["cat"]}', "holds neither a list of objects nor answers by task"),
        ("v.jsonl", lines({"_task_hash": 1, "answer": "maybe"}), "entry 1: answer 'maybe' is unknown"),
        ("v.json", json.dumps({"7": {"1": "cat", " ": "dog"}}), r"v\.json, entry 1: column 'annotator' is empty"),
    ],
)  # fmt: skip
def test_what_leaves_a_question_open_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    """Nothing is guessed where there are several answers; the message names the file and the remedy."""
    with pytest.raises(VotesError, match=message):
        read(tmp_path, name, content)


def test_choices_of_several_controls_are_refused(tmp_path: Path) -> None:
    """They are not labels of one question."""
    other = {"from_name": "size", "type": "choices", "value": {"choices": ["big"]}}
    made = annotation(1, "cat")
    export = json.dumps([task(7, {**made, "result": [*made["result"], other]})])
    with pytest.raises(VotesError, match="has choices of the controls kind, size"):
        read(tmp_path, "v.json", export)


def test_given_labels_of_other_tasks_are_pointed_out(tmp_path: Path) -> None:
    """Where none of them has a vote, the tasks are named otherwise."""
    (tmp_path / "v.csv").write_text("task,annotator,label\n1,a1,cat\n1,a2,dog\n")
    (tmp_path / "given.csv").write_text("task,label\n1.0,cat\n")
    ballot = read_ballot(tmp_path / "v.csv", tmp_path / "given.csv", None, "single")
    assert "given.csv: none of its tasks has a vote; it names '1.0', and" in ballot.notes[0]


@pytest.mark.parametrize(
    "more",
    [
        {"ground_truth": True},
        {"updated_by": 3, "created_at": "2026-01-01"},
        {"result": [{"meta": {"consensus": {"signature": "5f0c"}}}]},
        {"result": [{"meta": decision_meta(DecisionMark("5f0c", teaches=True))}]},
        {"completed_by": {"id": 5, "email": MACHINE_ACCOUNT}},
    ],
)
def test_what_settles_a_label_is_no_vote_of_an_export(tmp_path: Path, more: dict[str, Any]) -> None:
    """Ground truth, another's change, an accepted report, a decision, the machine account: as in a run."""
    made = annotation(1, "cat", day=3)
    made.update({**more, "result": [{**made["result"][0], **region} for region in more.get("result", [{}])]})
    content = json.dumps([task(7, made, annotation(2, "dog"), annotation(4, "owl"))])
    assert votes_of(read(tmp_path, "export.json", content)) == [("7", "2", "dog"), ("7", "4", "owl")]

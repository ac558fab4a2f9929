import numpy as np
import pytest
from in_memory_label_studio import InMemoryStudio, region
from structlog.testing import capture_logs
from training_parts import KEY, PROJECT, client_of, label_studio, report, tasks_of, trainer

from common.contract import MACHINE_ACCOUNT, DecisionMark, decision_meta, signed_meta
from ml_backend.core.controls import Control
from ml_backend.core.evidence import Annotation
from ml_backend.core.model import Evidence
from ml_backend.embedding.gather import Gathered, ImageRef
from ml_backend.errors import UnusableProjectError
from ml_backend.label_studio.client import Task
from ml_backend.settings import read_settings
from ml_backend.training.training_set import (
    find_evidence,
    log_unbelieved_reports,
    log_unknown_choices,
    require_evidence,
    unknown_choices,
    usable,
)

BOT = 3
KIND = Control("kind", "image", ("dark", "light"), multiple=False, image_key="image")


def annotation(annotator: int, choice: str, *, ground_truth: bool = False) -> Annotation:
    """One that chose."""
    return Annotation(annotator, "2026-01-01", False, ground_truth, {"kind": (choice,)})  # noqa: FBT003


def test_machine_accounts_teach_nothing_and_renamed_choices_teach_their_new_name() -> None:
    """What a machine wrote and somebody starred is ground truth."""
    rows = (annotation(1, "dog"), annotation(BOT, "cat"), annotation(BOT, "owl", ground_truth=True))
    left = usable(Task(7, {}, rows), {BOT}, {"kind": {"dog": "hound"}, "other": {"owl": "bird"}})
    assert [each.annotator for each in left.annotations] == [1, BOT]
    assert [each.choices["kind"] for each in left.annotations] == [("hound",), ("owl",)]


def evidence_of(studio: InMemoryStudio) -> Evidence:
    """What the tasks of a project teach about its control, and by what they judge."""
    tasks = list(client_of(studio).annotated_tasks(PROJECT, with_verdicts=True))
    gathered = Gathered({ImageRef(task.id, "image", ""): np.zeros(2, dtype=np.float32) for task in tasks})
    [evidence], _ = find_evidence([KIND], tasks, gathered)
    return evidence


def test_people_judge_and_consensus_teaches() -> None:
    """Reports change what is learned, not what judges; where they contradict the annotators a task judges none."""
    studio = label_studio({1: ["dark", "dark"], 2: ["dark", "light"], 3: ["light", "light", "dark"]})
    for number, choice in ((1, "dark"), (2, "light"), (3, "dark")):
        report(studio, number, "Discovered", choice, 0.9)
    evidence = evidence_of(studio)
    assert evidence.shares.tolist() == [[1, 0], [0, 1], [1, 0]]
    answers, counts = evidence.judges
    assert answers[:2].tolist() == [[1, 0], [0.5, 0.5]]
    assert counts.tolist() == [1, 1, 0]


def test_what_is_taken_over_in_bulk_judges_nothing() -> None:
    """A model's predictions, a report's, and what a machine decided: they may teach, but a person judges."""
    studio = label_studio({number: [] for number in range(6)})
    signed = region("kind", "dark")
    signed["meta"] = signed_meta(KEY, 2, "consensus/Discovered", 0.9, signed, "choices")
    decided = {**region("kind", "dark"), "meta": decision_meta(DecisionMark("5f0c", teaches=False))}
    reviewed = {**region("kind", "dark"), "meta": decision_meta(DecisionMark("5f0c", teaches=True))}
    studio.annotate(0, [region("kind", "dark")], parent_prediction=8, lead_time=None)
    studio.annotate(1, [region("kind", "dark")], parent_prediction=8, lead_time=3.5)
    studio.annotate(2, [signed])
    studio.annotate(3, [decided])
    studio.annotate(4, [reviewed])
    studio.annotate(5, [region("kind", "dark")])
    assert evidence_of(studio).judges[1].tolist() == [0, 1, 0, 0, 1, 1]


def test_what_a_machine_wrote_judges_nothing_although_it_is_starred() -> None:
    """It teaches as ground truth; anybody who imports can star it."""
    rows = (annotation(BOT, "owl", ground_truth=True), annotation(1, "owl"))
    left = usable(Task(7, {}, rows), {BOT}, {})
    assert [each.judges for each in left.annotations] == [False, True]


def test_machines_are_named_by_address_or_id(settings: object) -> None:
    """In any case of the address; one that has no account is logged, for it may be misspelt."""
    studio = label_studio({})
    studio.accounts[BOT] = "bot@example.com"
    named = read_settings(**{**vars(settings), "machines": "BOT@example.com, 9,nobody@example.com"})
    work = trainer(named, studio)
    rows = tuple(annotation(number, "dark") for number in (1, BOT, 9))
    with capture_logs() as logged:
        [left] = work.usable([Task(7, {}, rows)])
    assert [each.annotator for each in left.annotations] == [1]
    assert [row["machine"] for row in logged] == ["nobody@example.com"]


def test_the_machine_account_of_consensus_never_teaches(settings: object) -> None:
    """Not even where it is ground truth, and whether or not the settings name it."""
    studio = label_studio({})
    studio.accounts[BOT] = MACHINE_ACCOUNT
    rows = (annotation(1, "dark"), annotation(BOT, "dark"), annotation(BOT, "light", ground_truth=True))
    [left] = trainer(settings, studio).usable([Task(7, {}, rows)])
    assert [each.annotator for each in left.annotations] == [1]


def test_choices_that_are_gone_are_counted() -> None:
    """Annotations that a training could not use are told, with the choice and the remedy."""
    control = Control("kind", "image", ("dark", "light"), multiple=False, image_key="image")
    tasks = tasks_of(label_studio({1: ["dark", "black"], 2: ["black"], 3: [None]}))
    with capture_logs() as logged:
        log_unknown_choices(7, unknown_choices((control,), tasks))
    [row] = logged
    assert (row["control"], row["choice"], row["annotations"]) == ("kind", "black", 2)
    assert "ML_BACKEND_RENAMED" in row["remedy"]


@pytest.mark.parametrize(("key", "believed"), [(KEY, True), ("another", False)])
def test_reports_that_are_not_believed_are_told(key: str, believed: bool) -> None:  # noqa: FBT001
    """Where consensus signs with another key, a training says so, and what helps."""
    studio = label_studio({1: ["dark"]})
    report(studio, 1, "Discovered", "dark", 0.9)
    client = client_of(studio, key)
    with capture_logs() as logged:
        tasks = list(client.annotated_tasks(PROJECT, with_verdicts=True))
        log_unbelieved_reports(PROJECT, tasks, client.version_counts(PROJECT))
    assert [row["event"] for row in logged] == [] if believed else ["reports_not_believed"]
    assert believed or "CONSENSUS_SIGNING_KEY" in logged[0]["remedy"]


def test_a_control_that_is_gone_is_named() -> None:
    """Annotations of a control that had another name; those of other tags are no matter."""
    control = Control("kind", "image", ("dark", "light"), multiple=False, image_key="image")
    said = Annotation(1, "2026-01-01", False, False, {"sort": ("dark",), "region": ("dark",)})  # noqa: FBT003
    tasks = [Task(number, {}, (said,)) for number in (1, 2)]
    with pytest.raises(UnusableProjectError, match=r"lacks the control sort \(answered 2 times\): name"):
        require_evidence(7, (control,), tasks, {"region": "is about regions"})

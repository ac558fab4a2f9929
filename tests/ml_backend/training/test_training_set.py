import pytest
from structlog.testing import capture_logs
from training_parts import KEY, PROJECT, client_of, label_studio, report, tasks_of, trainer

from common.contract import MACHINE_ACCOUNT
from ml_backend.core.controls import Control
from ml_backend.core.evidence import Annotation
from ml_backend.label_studio.client import Task
from ml_backend.settings import read_settings
from ml_backend.training.training_set import log_unbelieved_reports, log_unknown_choices, usable

BOT = 3


def annotation(annotator: int, choice: str, *, ground_truth: bool = False) -> Annotation:
    """One that chose."""
    return Annotation(annotator, "2026-01-01", False, ground_truth, {"kind": (choice,)})  # noqa: FBT003


def test_machine_accounts_teach_nothing_and_renamed_choices_teach_their_new_name() -> None:
    """What a machine wrote and somebody starred is ground truth."""
    rows = (annotation(1, "dog"), annotation(BOT, "cat"), annotation(BOT, "owl", ground_truth=True))
    left = usable(Task(7, {}, rows), {BOT}, {"kind": {"dog": "hound"}, "other": {"owl": "bird"}})
    assert [each.annotator for each in left.annotations] == [1, BOT]
    assert [each.choices["kind"] for each in left.annotations] == [("hound",), ("owl",)]


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
        log_unknown_choices(7, (control,), tasks)
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

"""A run, step by step, on tasks in memory; whole runs are tested on a real Label Studio."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from in_memory_label_studio import InMemoryStudio, Json, choices, config, region
from stored_rows import report_in, votes_in

from common.contract import REPORT_NAMES, accusation_in
from common.errors import LabelStudioError
from consensus.errors import ConfigError, StoreError, VotesError
from consensus.label_studio import Studio
from consensus.projects.run import Outcome, run
from consensus.settings import ControlSection, ProjectConfig, project_config
from consensus.store.columns import Row
from consensus.store.store import Store

KIND = choices("kind", "cat", "dog", "owl")
SECOND = choices("second", "cat", "dog", "emu")
CHECK = choices("check", "Yes", "No")
BOXES = choices("boxes", "cat", perRegion="true")
A1, A2, BOT = "a1@example.com", "A2@example.com", "bot@example.com"
EARLIER = "2026-01-01T00:00:00.000000Z"
WHO = {"a1": 1, "a2": 2, "bot": 3, "gone": 99}


def task(number: int, given: object = "cat", control: str = "kind", **choices: str) -> Json:
    """A task with annotations by the name of the account: its vote."""
    annotations = [
        {"id": number * 10 + position, "completed_by": WHO[name], "result": [region(control, choice)]}
        for position, (name, choice) in enumerate(choices.items())
    ]
    return {"task_id": number, "data": {"image": "i", "label": given}, "annotations": annotations}


def starred(made: Json, choice: str = "cat") -> Json:
    """The same task with ground truth of a machine."""
    truth = {"id": made["task_id"] * 10 + 9, "completed_by": 3, "ground_truth": True}
    return {**made, "annotations": [*made["annotations"], {**truth, "result": [region("kind", choice)]}]}


def label_studio(*tasks: Json, controls: Sequence[str] = (KIND,), version: str | None = None) -> InMemoryStudio:
    """A Label Studio in memory with these tasks in project 7, and one control that labels regions."""
    studio = InMemoryStudio(
        config('<Header value="$label"/>', *controls, BOXES), title="Seven", model_version=version
    )
    studio.accounts = {1: A1, 2: A2, 3: BOT}
    for made in tasks:
        studio.add_task(**made)
    return studio


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store.migrated(f"sqlite:///{tmp_path}/store.db")


def once(
    studio: InMemoryStudio, store: Store | None, settings: ProjectConfig | None = None, *, dry_run: bool = False
) -> Outcome:
    """One run on project 7."""
    times = iter([datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)])
    edge = Studio(studio.client(), "of a test", lambda _: None)
    return run(edge, store, settings or ProjectConfig(), 7, now=lambda: next(times), dry_run=dry_run)


def last(store: Store) -> Row:
    """The latest run of project 7."""
    found = store.last_run(7)
    assert found is not None
    return found


def test_what_was_found_is_stored_before_it_is_sent_and_noted_as_sent_after(store: Store) -> None:
    """While Label Studio is written the run is there, unfinished, and the project is held."""
    studio = label_studio(task(1, a1="cat", a2="cat"), task(2))

    def look(_: httpx.Request) -> None:
        assert last(store)["finished_at"] is None
        assert [row["task"] for row in report_in(store, 7, "NoVotes")] == [2]
        with pytest.raises(StoreError, match="another run is at work"), store.lock(7):
            pass

    studio.faults["POST import/predictions"] = look
    outcome = once(studio, store)
    assert studio.writes == ["POST /api/projects/7/import/predictions", *["POST /api/dm/views/"] * 7]
    assert last(store)["finished_at"] is not None
    assert (last(store)["tasks"], last(store)["votes"], outcome.votes) == (2, 2, 2)


def test_a_run_whose_project_was_taken_over_writes_no_more(store: Store, tmp_path: Path) -> None:
    """Its lock is gone and another run has it: what is sent ends there, and the run is not finished."""
    studio, other = label_studio(task(1, a1="cat", a2="cat")), Store(f"sqlite:///{tmp_path}/store.db")

    def taken_over(_: httpx.Request) -> None:
        (tmp_path / "store.db.project-7.lock").unlink(missing_ok=True)
        with other.lock(7):
            pass

    studio.faults["GET /api/tasks/"] = taken_over
    with pytest.raises(StoreError, match="another run has taken over project 7"):
        once(studio, store)
    assert not studio.writes
    assert store.last_run(7) is None


@pytest.mark.parametrize("deleted", [False, True])
def test_a_run_beside_one_with_another_store_writes_nothing(store: Store, *, deleted: bool) -> None:
    """What it has read is no longer what Label Studio holds: more of a report, or as much of a later time."""
    studio = label_studio(task(1, a1="cat", a2="cat"))
    studio.predict(1, "consensus/NoVotes")

    def meanwhile(_: httpx.Request) -> None:
        studio.now += timedelta(seconds=1)
        if deleted:
            studio.tasks[1]["predictions"].clear()
        studio.predict(1, "consensus/NoVotes")

    studio.faults["GET /api/tasks/"] = meanwhile
    with pytest.raises(LabelStudioError, match="something else has written consensus/NoVotes of project 7"):
        once(studio, store)
    assert (studio.writes, store.last_run(7)) == ([], None)


def test_a_project_of_a_reset_label_studio_is_refused(store: Store) -> None:
    """Its number is the same, its time of creation is not, by less than a second: nothing of it is stored."""
    studio = label_studio(task(1, a1="cat", a2="cat"))
    once(studio, store)
    run_before = store.last_run(7)
    made = datetime.fromisoformat(studio.project["created_at"])
    studio.project["created_at"] = made.replace(microsecond=made.microsecond ^ 1).isoformat()
    with pytest.raises(StoreError, match="set CONSENSUS_DATABASE_URL to a database of its own"):
        once(studio, store)
    assert store.last_run(7) == run_before


def test_a_deleted_account_stays_one_annotator(store: Store) -> None:
    """Label Studio no longer says whose its annotations were; the store does, of each that it has seen."""
    studio = label_studio(*(task(number, a1="cat", a2="cat") for number in range(1, 9)))
    once(studio, store)
    studio.add_task(**task(9, gone="dog"))
    for made in studio.tasks.values():
        made["annotations"] = [{**made["annotations"][0], "completed_by": None}]
    names = [row["annotator"] for row in once(studio, store).annotators]
    assert names == [A1, "account unknown of annotation 90"]


def test_a_dry_run_stores_and_sends_nothing(store: Store) -> None:
    """It looks, and tells."""
    studio = label_studio(task(1))
    outcome = once(studio, store, dry_run=True)
    assert (len(outcome.changes.create), outcome.tabs, outcome.dry_run) == (1, list(REPORT_NAMES), True)
    assert not studio.writes
    assert store.last_run(7) is None


def voted_by_chance(seed: int) -> tuple[InMemoryStudio, list[tuple[int, list[Json]]]]:
    """80 tasks, and three votes on each: on the last six tasks they are still to come."""
    generator = np.random.default_rng(seed)
    labels, accuracy = ("cat", "dog", "owl"), generator.uniform(0.6, 0.95, 6)
    tasks, later = list[Json](), list[tuple[int, list[Json]]]()
    for number in range(1, 81):
        truth = int(generator.integers(3))
        annotations = []
        for person in generator.choice(6, 3, replace=False).tolist():
            said = truth if generator.random() < accuracy[person] else int(generator.integers(3))
            result = [region("kind", labels[said])]
            annotations.append(
                {
                    "id": 10 * number + person,
                    "completed_by": 10 + person,
                    "result": result,
                    "updated_at": "2025-12-31T12:00:00Z",  # before any run
                }
            )
        given = labels[int(generator.integers(3)) if generator.random() < 0.2 else truth]
        tasks.append({**task(number, given), "annotations": annotations if number <= 74 else []})
        later += [(number, annotations)] * (number > 74)
    studio = label_studio(*tasks)
    studio.accounts |= {10 + person: f"p{person}@example.com" for person in range(6)}
    return studio, later


@pytest.mark.parametrize("seed", [0, 4, 10])
def test_a_dry_run_shows_the_run_and_two_stores_agree(store: Store, tmp_path: Path, seed: int) -> None:
    """A store that learned from fewer votes starts elsewhere than a new one: what one writes, the other leaves."""
    studio, later = voted_by_chance(seed)
    once(studio, store)
    for number, annotations in later:
        for annotation in annotations:
            studio.annotate(number, **annotation)
    dry, sent = once(studio, store, dry_run=True), once(studio, store)
    assert (dry.changes, dry.annotators, dry.reports) == (sent.changes, sent.annotators, sent.reports)
    assert once(studio, store, dry_run=True).changes.empty
    other = Store.migrated(f"sqlite:///{tmp_path}/other.db")
    once(studio, other)
    assert [once(studio, each).changes.empty for each in (store, other, store)] == [True, True, True]


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_run_without_a_store_is_a_dry_one(*, dry_run: bool) -> None:
    """Nothing is sent that was not stored before, and no file is made."""
    studio = label_studio(task(1), task(2, a1="cat"), version="m1")
    outcome = once(studio, None, dry_run=dry_run)
    assert {entry.task: entry.report for entry in outcome.changes.create} == {1: "NoVotes", 2: "Undecided"}
    assert (outcome.votes, outcome.dry_run) == (1, True)
    assert not studio.writes
    assert list(Path().iterdir()) == []


def test_the_annotators_version_is_shown_again_after_a_run_that_was_cut_off(store: Store) -> None:
    """Only the version of an unfinished run, and only where there is none now."""
    studio = label_studio(task(1), version="m1")
    studio.predict(1, "m1")
    studio.faults["POST import/predictions"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        once(studio, store)
    studio.project["model_version"] = ""
    with pytest.raises(KeyboardInterrupt):
        once(studio, store)
    studio.faults.clear()
    once(studio, store)
    assert studio.project["model_version"] == "m1"
    studio.project["model_version"] = ""  # after a run that was finished somebody meant it
    once(studio, store)
    assert studio.project["model_version"] == ""


def test_machines_and_trust_are_named_by_address_or_id(store: Store) -> None:
    """An id, an address in any case of letters and the id of an account that is gone are all understood."""
    tasks = [task(1, a1="cat", a2="dog", bot="owl", gone="owl")]
    config = ProjectConfig(machines=["BOT@example.com", "99"], trust={"a2@EXAMPLE.com": 0.25, "1": 0.5})
    outcome = once(label_studio(*tasks), store, config)
    assert {row["annotator"]: row["trust"] for row in outcome.annotators} == {A1: 0.5, A2: 0.25}
    assert outcome.unused == []


def test_names_that_are_not_there_are_told(store: Store) -> None:
    """A misspelt machine would vote, and a misspelt trust or control would be inferred: all are said."""
    config = ProjectConfig(
        machines=["bto@example.com", "98"],
        trust={BOT: 0.5, "a5@example.com": 0.5},
        controls={"kind": ControlSection(), "kidn": ControlSection()},
    )
    outcome = once(label_studio(task(1, a1="cat")), store, config)
    assert outcome.unused == [
        "control 'kidn', which this project does not have",
        "machine 'bto@example.com', who has no account",
        "trust of 'bot@example.com', who has no vote",
        "trust of 'a5@example.com', who has no vote",
    ]


def test_trust_beyond_the_policys_range_is_refused(store: Store) -> None:
    """The message names the annotator and the range."""
    with pytest.raises(VotesError, match=r"'a1@example.com' is 2; for policy default it must be between 0 and 1"):
        once(label_studio(task(1, a1="cat")), store, ProjectConfig(trust={A1: 2}))
    assert store.last_run(7) is None


def test_a_control_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    """In the project's own settings or in the project; nothing is stored."""
    path = tmp_path / "settings.toml"
    path.write_text("[projects.7.controls.kidn]\ngiven = 'label'\n[projects.8.controls.other]\ngiven = 'label'\n")
    with pytest.raises(ConfigError, match="settings name control 'kidn', but project 7 has kind"):
        once(label_studio(task(1)), store, project_config(path, 7))
    assert store.last_run(7) is None
    with pytest.raises(ConfigError, match=r"no <Choices> about whole tasks, .* \(boxes: labels regions"):
        once(label_studio(task(1), controls=()), store)


def test_a_verification_shows_the_word_of_its_verdict(store: Store) -> None:
    """No votes have no word; where the control has no word for unsure, the controversial ones have none."""
    config = ProjectConfig(policy="label-ai", trust={A1: 100, A2: 100})
    tasks = [
        task(1, "lynx", "check", a1="Yes", a2="Yes"),
        task(2, "puma", "check", a1="No", a2="No"),
        task(3, "puma", "check", a1="Yes", a2="No"),
        task(4, "lynx"),
    ]
    outcome = once(label_studio(*tasks, controls=(CHECK,)), store, config)
    assert [(one.task, one.report, one.control, one.choice) for one in outcome.changes.create] == [
        (1, "AllConfirmed", "check", "Yes"),
        (2, "MisClassified", "check", "No"),
        (3, "Controversial", "", ""),
        (4, "NoVotes", "", ""),
    ]


def test_a_guarantee_lets_ground_truth_decide_what_the_reports_hold(store: Store) -> None:
    """Gold teaches nothing then; one right label of five in question is too little at .05, enough at .5.

    What gold says of its own task is reported all the same.
    """
    tasks = [task(number, a1="cat", a2="cat") for number in range(1, 6)]
    tasks[0] = starred(tasks[0])
    studio = label_studio(*tasks)
    careful, bold = (once(studio, None, ProjectConfig(guarantee=share)) for share in (0.05, 0.5))
    assert (careful.reports["AllConfirmed"], bold.reports["AllConfirmed"]) == (1, 5)
    assert careful.guarantees[0].startswith("kind: Guarantee on 1 gold tasks drawn at random: the expected share")
    assert careful.guarantees[1].endswith(
        "1 gold tasks are among the 5 in question, 5 are needed, so about 5 in all"
    )
    assert bold.guarantees[1].startswith("  AllConfirmed: 4 tasks; 0 of 1 gold tasks in question")
    assert once(studio, store).guarantees == ()


def test_predictions_of_reports_that_are_no_more_are_deleted(store: Store) -> None:
    """What carries our prefix and is not wanted goes."""
    studio = label_studio(task(1))
    old = studio.predict(1, "consensus/OldReport", [region("kind", "cat")], score=0.5)
    assert once(studio, store).changes.delete == [old["id"]]


def test_two_controls_are_two_questions(store: Store) -> None:
    """Votes, annotators and problems of each are kept apart; who left the second one blank has no vote on it."""
    tasks = [task(1, a1="cat"), task(2, a2="cat"), task(3, "yak", a2="cat")]
    outcome = once(label_studio(*tasks, controls=(KIND, SECOND)), store)
    assert [(row["control"], row["annotator"]) for row in outcome.annotators] == [("kind", A1), ("kind", A2)]
    assert [(row["control"], row["task"], row["label"]) for row in votes_in(store, 7)] == [
        ("kind", 1, "cat"), ("kind", 2, "cat"), ("kind", 3, "cat"),
    ]  # fmt: skip
    assert [(problem.task, "'second'" in problem.what) for problem in outcome.problems] == [(3, False), (3, True)]


def suggested(number: int, choice: str) -> Json:
    """A task on which two agree and for which a model had suggested something."""
    suggestion = {"model_version": "m1", "result": [region("kind", choice)], "score": 0.75, "created_at": EARLIER}
    return {**task(number, a1="cat", a2="cat"), "predictions": [suggestion]}


def test_suggestions_vote_where_the_settings_say_so(store: Store) -> None:
    """Off by default; with model_votes their share in each decision is stored, and they are in no count."""
    studio = label_studio(*(suggested(number, "cat") for number in range(1, 61)))
    once(studio, store)
    assert {row["model_share"] for row in report_in(store, 7, "AllConfirmed")} == {None}
    outcome = once(studio, store, ProjectConfig(model_votes=True))
    rows = report_in(store, 7, "AllConfirmed")
    assert len(rows) == 60
    assert all(0 < row["model_share"] <= 1 / 3 for row in rows)  # beside two people, and the given label
    assert {row["yes"] for row in rows} == {2}
    assert [row["annotator"] for row in outcome.annotators] == [A1, A2]


def test_a_run_without_news_sends_nothing(store: Store) -> None:
    """The second run starts from what the first one learned, and finds the same to the last digit."""
    votes = ({"a1": "cat", "a2": "cat"}, {"a1": "dog", "a2": "cat"}, {"a1": "dog", "a2": "dog", "bot": "cat"})
    studio = label_studio(*(task(number, **votes[number % 3]) for number in range(1, 40)))
    once(studio, store)
    learned = store.learned(7)
    before = [row["confidence"] for row in report_in(store, 7, "AllConfirmed")]
    again = once(studio, store).changes
    assert (again.create, again.update, again.delete) == ([], [], [])
    assert [row["confidence"] for row in report_in(store, 7, "AllConfirmed")] == before
    assert list(learned) == ["kind"]


def test_what_was_learned_by_another_version_is_no_obstacle(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that cannot be read are as good as none."""
    monkeypatch.setattr(store, "learned", lambda _: {"kind": b"of another format"})
    assert once(label_studio(task(1, a1="cat", a2="cat")), store).votes == 2


def test_tasks_with_ground_truth_are_counted(store: Store) -> None:
    """Labels that were imported as annotations are ground truth, and the owner should know."""
    tasks = [task(number, a1="cat") for number in (1, 2)]
    tasks[0] = starred(tasks[0])
    assert once(label_studio(*tasks), store).gold_tasks == 1


def given_where(content: str, folder: Path) -> ProjectConfig:
    """Settings of project 7 from a file."""
    (folder / "consensus.toml").write_text(content)
    return project_config(folder / "consensus.toml", 7)


def test_ground_truth_can_be_the_given_label(store: Store, tmp_path: Path) -> None:
    """Labels imported as annotations are then what is checked, and measure nobody's trust."""
    tasks = [starred(task(number, None, a1="dog", a2="dog", gone="dog")) for number in range(1, 9)]
    assert once(label_studio(*tasks), store).gold_tasks == 8
    config = given_where("[projects.7.controls.kind]\ngiven_annotations = true", tmp_path)
    studio = label_studio(*tasks)
    outcome = once(studio, store, config)
    assert outcome.gold_tasks == 0
    assert outcome.votes == 24
    assert "ground truth holds the given label" in outcome.controls[0].about
    assert outcome.reports["MisClassified"] == 8
    denied = [row for row in studio.predictions if row["model_version"] == "consensus/MisClassified"]
    assert denied[0]["result"][0]["value"] == {"choices": ["dog"]}
    wrong = accusation_in(denied[0]["result"])
    assert wrong is not None
    assert wrong.label == "cat"


def test_predictions_of_a_version_can_be_the_given_label(store: Store, tmp_path: Path) -> None:
    """Those of other versions are none; a version without any prediction has no effect, and the run says so."""
    versions = {"import": [region("kind", "cat")], "m1": []}
    predictions = [{"model_version": version, "result": result} for version, result in versions.items()]
    tasks = [
        {**task(number, None, a1="dog", a2="dog", gone="dog"), "predictions": predictions}
        for number in range(1, 9)
    ]
    config = given_where('[controls.kind]\ngiven_version = "import"', tmp_path)
    assert once(label_studio(*tasks), store).reports["MisClassified"] == 0
    outcome = once(label_studio(*tasks), store, config)
    assert outcome.reports["MisClassified"] == 8
    assert not outcome.unused
    config = given_where('[controls.kind]\ngiven_version = "m2"', tmp_path)
    assert "given_version 'm2' of control 'kind'" in once(label_studio(*tasks), store, config).unused[0]


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ('given = "label"\ngiven_annotations = true', "a given label comes from one place"),
        ('given_annotations = true\ngiven_version = "m1"', "a given label comes from one place"),
        ('kind = "verification"\ngiven_version = "m1"', "whose given label lies in the tasks"),
    ],
)
def test_a_given_label_comes_from_one_place(store: Store, tmp_path: Path, section: str, why: str) -> None:
    """Settings that name two, or one that a verification cannot have, are refused."""
    with pytest.raises(ConfigError, match=why):
        once(label_studio(task(1, a1="cat")), store, given_where(f"[controls.kind]\n{section}", tmp_path))

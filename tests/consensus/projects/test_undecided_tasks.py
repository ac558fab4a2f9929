"""What is undecided has a name, a tab, a list and a next step; one vote a task is named as what it is."""

from collections.abc import Callable
from pathlib import Path

import pytest
from in_memory_label_studio import NOW, InMemoryStudio, choices, config, region

from common.contract import accusation_in, words_in
from consensus.commands.output import next_steps, outcome_json
from consensus.label_studio import Studio
from consensus.projects.run import Outcome, run
from consensus.settings import ProjectConfig
from consensus.store.store import Store

Call = Callable[..., tuple[int, str, str]]
VOTES = {
    **{number: ["cat"] * 3 for number in range(1, 9)},
    9: ["cat", "dog", "owl"],  # contradicted by two of three, who do not agree
    10: ["cat", "cat", "dog"],
    11: ["dog", "dog", "dog", "cat"],
    12: [],
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """An empty store, where the command line looks for one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONSENSUS_DATABASE_URL", f"sqlite:///{tmp_path}/store.db")
    return Store.migrated(f"sqlite:///{tmp_path}/store.db")


def studio(votes: dict[int, list[str]], overlap: int = 3) -> InMemoryStudio:
    """A project whose tasks all came with "cat"."""
    made = InMemoryStudio(config(choices("kind", "cat", "dog", "owl")))
    for number, labels in votes.items():
        made.add_task({"image": "i", "label": "cat"}, task_id=number, overlap=overlap)
        for account, label in enumerate(labels, start=1):
            made.annotate(number, [region("kind", label)], completed_by=account)
    return made


def once(made: InMemoryStudio, store: Store) -> Outcome:
    """One run."""
    return run(Studio(made.client(), "of a test", lambda _: None), store, ProjectConfig(), 7, now=lambda: NOW)


def test_every_task_with_votes_is_in_a_report(store: Store) -> None:
    """What is undecided is in one of its own, in Label Studio under a tab, and the run says what to do next."""
    made = studio(VOTES)
    outcome = once(made, store)
    reported = {row["task"] for row in made.predictions}
    assert reported == set(VOTES)
    undecided = outcome.reports["Undecided"]
    assert undecided == outcome.undecided_tasks == store.count(7, "Undecided") >= 2
    assert "Undecided" in [view["data"]["title"] for view in made.views]
    [line] = next_steps(outcome)
    assert line.startswith(
        f"{undecided} tasks have something undecided: `consensus route --project 7` asks for one"
    )
    assert "consensus report Undecided --project 7" in line
    assert outcome_json(outcome)["undecided_tasks"] == undecided
    assert once(made, store).changes.empty


def test_the_most_contradicted_is_listed_first_with_what_the_votes_prefer(store: Store, shell: Call) -> None:
    """By the given label's posterior; in Label Studio the likeliest label is shown."""
    made = studio(VOTES)
    once(made, store)
    rows = [row for row in made.predictions if row["model_version"] == "consensus/Undecided"]
    status, out, _ = shell("report", "Undecided", "--project", 7, "--format", "csv")
    tasks = [int(line.split(",")[0]) for line in out.splitlines()[1:]]
    posterior = [float(line.split(",")[8]) for line in out.splitlines()[1:]]
    assert (status, sorted(tasks)) == (0, sorted(row["task"] for row in rows))
    assert posterior == sorted(posterior)
    assert out.splitlines()[0].endswith("posterior,proposed,proposed_posterior")
    [eleven] = [row["result"] for row in rows if row["task"] == 11]
    wrong = accusation_in(eleven)
    assert eleven[0]["value"]["choices"] == ["dog"]
    assert wrong is not None
    assert wrong.label == "cat"
    assert words_in(eleven)[0] == "given cat; of 4 votes 3 say dog, 1 say cat"
    ten = [row["result"][0]["value"]["choices"] for row in rows if row["task"] == 10]
    assert ten in ([["cat"]], [])  # where it is undecided, what the votes prefer is what was given


@pytest.mark.parametrize(("overlap", "more", "told"), [(1, [], True), (3, [], False), (1, ["cat"], False)])
def test_one_vote_a_task_is_named_as_the_reason(
    store: Store, overlap: int, more: list[str], *, told: bool
) -> None:
    """Where no task has a second one and Label Studio asks for none; with the remedy."""
    outcome = once(studio({1: ["cat", *more], 2: ["dog"], 3: []}, overlap), store)
    assert (outcome.one_vote_a_task, outcome_json(outcome)["one_vote_a_task"]) == (told, told)
    lines = [line for line in next_steps(outcome) if "one vote at most" in line]
    assert len(lines) == told
    assert all("maximum_annotations" in line and "consensus route --project 7" in line for line in lines)


def test_a_run_keeps_how_the_project_stands(store: Store) -> None:
    """Classifications in each report, agreement, annotations by day, and the tasks of which something is open."""
    made = studio(VOTES)
    outcome = once(made, store)
    with store.snapshot() as snapshot:
        [run_row] = snapshot.pages.runs(7)
        measures = run_row["measures"]
    assert measures["reports"] == outcome.reports
    assert measures["tasks_open"] == 3  # 9 and 10 are contradicted, 12 has no votes; 11 is surely another label
    assert measures["days"] == {f"{NOW:%Y-%m-%d}": sum(len(labels) for labels in VOTES.values())}
    assert measures["agreement"]["kind"] == pytest.approx(
        0.3324, abs=1e-4
    )  # by hand: observed 27/34, by chance 776/1122

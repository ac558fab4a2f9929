"""Facts about annotators, agreement and pay on the command line, from stores that were made by hand."""

import csv
import io
import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from in_memory_label_studio import InMemoryStudio, choices, config
from meanwhile import after_the_first_question

from common.label_studio.label_config import ChoicesTag
from consensus.commands import people
from consensus.core.decide.scoring import score
from consensus.core.people.answers import answers_of
from consensus.core.votes.collected import collect
from consensus.core.votes.controls import Control
from consensus.core.votes.from_annotations import Annotation, Task
from consensus.label_studio import Studio
from consensus.projects import run as pipeline
from consensus.settings import ProjectConfig
from consensus.store.columns import as_columns
from consensus.store.rows import assessment_rows, classification_columns, control_rows, coverage_of, vote_columns
from consensus.store.store import Store
from consensus.store.tables import CLASSIFICATION, VOTE

KIND = Control(ChoicesTag("kind", "image", multiple=False, labels=("cat", "dog", "owl")), "choices")
TRAITS = Control(ChoicesTag("traits", "image", multiple=True, labels=("fur", "wings")), "choices")
CHECK = Control(
    ChoicesTag("check", "image", multiple=False, labels=("Yes", "No")),
    "verification",
    given="label",
    answers={"Yes": "yes", "No": "no"},
)
CONFIG = config('<Header value="$label"/>', choices("kind", "cat", "dog", "owl"))
RULES = """
unit = "EUR cent"
per_vote = 4
[[tiers]]
trust = 0.5
bonus_percent = 25
"""
BEST = "[best_annotator]\nbonus = 1000\nmin_votes = 5\n"
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, shell: Call) -> Call:
    """Calls `consensus` as the shell would, on the 1st of June 2026; returns exit status, output and errors."""
    monkeypatch.setattr(people, "_today", lambda: date(2026, 6, 1))
    Path("pay.toml").write_text(RULES)
    return shell


def region(control: str, *choices: str) -> dict[str, object]:
    """Choices on a control."""
    return {"from_name": control, "value": {"choices": list(choices)}}


def annotation(number: int, who: str, *regions: dict[str, object], seconds: float | None = 10.0) -> Annotation:
    """A submitted annotation; without regions the task was skipped."""
    at = f"2026-01-01T00:{number % 60:02}:00Z"
    return Annotation(number, who, at, not regions, ground_truth=False, result=regions, lead_time=seconds)


def task(number: int, control: str = "kind", label: str = "cat", **choices: str) -> Task:
    """A task with an annotation per annotator."""
    made = [
        annotation(number * 100 + int(who[1:]), who, *([region(control, choice)] if choice else []))
        for who, choice in choices.items()
    ]
    return Task(number, {"image": "i", "label": label}, made)


def run(day: datetime, tasks: Iterable[Task], controls: tuple[Control, ...] = (KIND,)) -> None:
    """What `consensus run` would store on a day."""
    tasks = list(tasks)
    collected = [collect(tasks, control) for control in controls]
    pairs = [
        (one, score(one.votes, one.listed, one.gold, np.full(one.votes.n_annotators, np.nan))) for one in collected
    ]
    facts = {"project": 7, "started_at": day, "model_version": "", "policy": "default", "thresholds": {}}
    counts = {"tasks": len(tasks), "votes": 0, "problems": 0}
    Store.migrated("sqlite:///consensus.db").save(
        {**facts, **counts},
        classification_columns(pairs),
        vote_columns(pairs),
        [row for pair in pairs for row in assessment_rows(*pair, answers_of(pair[0].votes))],
        control_rows(pairs),
        coverage_of(
            pairs,
            [task.id for task in tasks],
            [each.id for task in tasks for each in task.annotations if each.ground_truth],
        ),
    )


def on(month: int, day: int) -> datetime:
    """Noon of a day of 2026."""
    return datetime(2026, month, day, 12, tzinfo=UTC)


def agreeing(numbers: Iterable[int], **more: str) -> list[Task]:
    """Tasks on which a1, a2 and a3 agree."""
    labels = ("cat", "dog", "owl")
    return [task(number, **dict.fromkeys(("a1", "a2", "a3"), labels[number % 3]), **more) for number in numbers]


def test_facts_of_an_annotator(call: Call) -> None:
    """Four tasks: a1 and a2 agree, a3 says dog for cat twice; times, suggestions and history are counted."""
    tasks = [task(number, a1="cat", a2="cat", a3="dog" if number < 2 else "cat") for number in range(4)]
    run(on(1, 1), tasks[:1])
    begun = [
        annotation(901, "a1", region("kind", "cat"), seconds=4.0),
        annotation(902, "a2", region("kind", "cat"), seconds=20.0),
        annotation(903, "a3", region("kind", "cat")),
    ]
    suggested = [
        Annotation(**{**vars(one), "from_prediction": 5, "suggestion": suggestion})
        for one, suggestion in zip(begun, ([region("kind", "cat")], [region("kind", "dog")], None), strict=True)
    ]
    run(on(1, 2), [*tasks, Task(9, {"label": "cat"}, suggested)])
    status, out, _ = call("annotators", "--project", 7, "--format", "json")
    assert status == 0
    rows = {row["annotator"]: row for row in json.loads(out)}
    first, third = rows["a1"], rows["a3"]
    assert (first["control"], first["votes"], first["with_consensus"]) == ("kind", 5, 1)
    assert first["with_others"] == pytest.approx((3 * 1 + 2 * 0.5) / 5)
    assert third["with_others"] == pytest.approx(3 / 5)
    assert third["with_consensus"] == pytest.approx(3 / 5)
    assert (third["confusions"][0]["said"], third["confusions"][0]["consensus"]) == ("dog", "cat")
    assert (first["seconds"], first["others_seconds"]) == (10, 10)
    kept = {name: (row["suggested"], row["compared"], row["accepted"]) for name, row in rows.items()}
    assert kept == {"a1": (1, 1, 1), "a2": (1, 1, 0), "a3": (1, 0, 0)}
    assert [(one["at"], one["votes"]) for one in first["history"]] == [
        ("2026-01-01T12:00:00", 1), ("2026-01-02T12:00:00", 5),
    ]  # fmt: skip
    assert first["trust_low"] <= first["trust"] <= first["trust_high"]
    assert first["suspicions"] == []


def test_the_table_shows_suspicions_in_words(call: Call) -> None:
    """Whoever guesses is named with the reason below the table; --annotator shows one page."""
    generator = np.random.default_rng(1)
    wrong = ("cat", "dog", "owl")
    tasks = agreeing(range(150))
    tasks = [
        Task(one.id, one.data, [*one.annotations, annotation(one.id * 100 + 50, "a4", region("kind", word))])
        for one, word in zip(tasks, generator.choice(wrong, 150), strict=True)
    ]
    run(on(1, 1), tasks)
    _, out, _ = call("annotators", "--project", 7)
    assert "a4, kind: spam: agrees with" in out
    assert out.count("spam: ") == 1
    status, out, _ = call("annotators", "--project", 7, "--annotator", "A4")
    assert status == 0
    assert "a4 on kind" in out
    assert "Most frequent confusions" in out
    assert "Trust in each run" in out
    assert "a1" not in out
    _, out, _ = call("annotators", "--project", 7, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["annotator"] for row in rows] == ["a1", "a2", "a3", "a4"]
    assert rows[3]["suspicions"].startswith("spam: agrees with")
    assert " for " in rows[3]["confusions"]


@pytest.mark.parametrize("command", ["annotators", "agreement"])
def test_a_run_that_ends_meanwhile_is_not_seen(call: Call, command: str) -> None:
    """All that is shown is of one run: not the new annotator's votes with the trust of before."""
    tasks = [task(number, a1="cat", a2="cat", a3="dog") for number in range(4)]
    run(on(1, 1), tasks)
    before = call(command, "--project", 7, "--format", "json")
    newcomer = [task(number, a4="cat", a5="dog") for number in range(6)]
    with after_the_first_question(lambda: run(on(1, 2), newcomer)):
        assert call(command, "--project", 7, "--format", "json") == before
    assert call(command, "--project", 7, "--format", "json") != before


def test_multiple_choices_and_verifications_have_facts(call: Call) -> None:
    """Confusions name the label and yes or no."""
    said = {"a1": ("fur", "Yes"), "a2": ("fur", "Yes"), "a3": ("wings", "No")}
    tasks = [
        Task(number, {"label": "cat"}, [
            annotation(number * 100 + place, who, region("traits", trait), region("check", word))
            for place, (who, (trait, word)) in enumerate(said.items())
        ])
        for number in range(6)
    ]  # fmt: skip
    run(on(1, 1), tasks, (TRAITS, CHECK))
    _, out, _ = call("annotators", "--project", 7, "--format", "json")
    rows = {(row["control"], row["annotator"]): row for row in json.loads(out)}
    mistaken = {(one["label"], one["said"], one["consensus"]) for one in rows["traits", "a3"]["confusions"]}
    assert mistaken == {("fur", "no", "yes"), ("wings", "yes", "no")}
    assert [(one["label"], one["said"]) for one in rows["check", "a3"]["confusions"]] == [("cat", "no")]
    status, out, _ = call("annotators", "--project", 7, "--annotator", "a3")
    assert status == 0
    assert "a3 on traits" in out
    assert "a3 on check" in out


def test_agreement_of_a_project(call: Call) -> None:
    """Two annotators, four tasks, one disagreement; Cohen's kappa is (3/4 - 1/2) / (1 - 1/2)."""
    pairs = [("cat", "cat"), ("cat", "cat"), ("dog", "dog"), ("cat", "dog")]
    run(on(1, 1), [task(number, a1=one, a2=other) for number, (one, other) in enumerate(pairs)])
    status, out, _ = call("agreement", "--project", 7, "--format", "json")
    assert status == 0
    rows = {(row["control"], row["label"]): row for row in json.loads(out)}
    whole = rows["kind", ""]
    assert whole["cohen_kappa"] == pytest.approx(0.5)
    # Of the pairs of answers to one task 3/4 agree; of all pairs (5 * 4 + 3 * 2) / (8 * 7) do, or (25 + 9) / 64.
    assert whole["krippendorff_alpha"] == pytest.approx((3 / 4 - 26 / 56) / (1 - 26 / 56), abs=1e-6)
    assert whole["fleiss_kappa"] == pytest.approx((3 / 4 - 34 / 64) / (1 - 34 / 64), abs=1e-6)
    assert (whole["questions"], whole["answers"], whole["pairs"], whole["compared"]) == (4, 8, 1, 4)
    assert rows["kind", "owl"]["krippendorff_alpha"] is None
    assert rows["kind", "dog"]["cohen_kappa"] == pytest.approx(0.5)
    _, out, _ = call("agreement", "--project", 7, "--pairs", "--format", "csv")
    assert out.splitlines()[:2] == ["control,label,annotator,other,cohen_kappa,questions", "kind,,a1,a2,0.5,4"]
    _, out, _ = call("agreement", "--project", 7)
    assert "krippendorff_alpha" in out
    assert "not known" in out


def test_agreement_of_multiple_choices_is_by_label(call: Call) -> None:
    """Fur is agreed on, wings is not: a question per task and label."""
    chosen = [("fur",), ("fur", "wings")]
    tasks = [
        Task(number, {}, [
            annotation(number * 100 + place, f"a{place}", region("traits", *choices if number else choices[:1]))
            for place, choices in enumerate(chosen)
        ])
        for number in range(2)
    ]  # fmt: skip
    run(on(1, 1), tasks, (TRAITS,))
    _, out, _ = call("agreement", "--project", 7, "--format", "json")
    rows = {row["label"]: row for row in json.loads(out)}
    assert (rows[""]["questions"], rows["fur"]["questions"], rows["wings"]["questions"]) == (4, 2, 2)
    assert rows["wings"]["krippendorff_alpha"] == pytest.approx((1 / 2 - 1 / 2) / (1 - 1 / 2))
    assert rows["fur"]["krippendorff_alpha"] is None


def pay(call: Call, first: str, end: str, *more: object) -> tuple[int, str, str]:
    """The pay of a period."""
    return call("pay", "--project", 7, "--from", first, "--to", end, "--rules", "pay.toml", *more)


def lines(call: Call, first: str, end: str) -> dict[str, tuple[int, int, int]]:
    """Votes, withdrawn and amount of the votes of each annotator."""
    status, out, _ = pay(call, first, end, "--format", "csv")
    assert status == 0
    rows = csv.DictReader(io.StringIO(out))
    return {row["annotator"]: (int(row["votes"]), int(row["withdrawn"]), int(row["amount"])) for row in rows}


def test_a_vote_is_paid_in_the_period_in_which_it_was_first_seen(call: Call) -> None:
    """Four in January, two in February; together as much as both months in one."""
    run(on(1, 5), agreeing(range(4)))
    run(on(2, 5), agreeing(range(6)))
    assert lines(call, "2026-01-01", "2026-02-01") == dict.fromkeys(("a1", "a2", "a3"), (4, 0, 20))
    assert lines(call, "2026-02-01", "2026-03-01") == dict.fromkeys(("a1", "a2", "a3"), (2, 0, 10))
    assert lines(call, "2026-01-01", "2026-03-01") == dict.fromkeys(("a1", "a2", "a3"), (6, 0, 30))
    assert lines(call, "2026-01-05", "2026-01-06")["a1"] == (4, 0, 20)
    assert lines(call, "2026-01-06", "2026-02-05") == {}


def test_what_happens_after_the_pay_day_changes_nothing(call: Call) -> None:
    """An edit, a withdrawal, a deleted task, new votes and another trust: January stays to the last byte."""
    run(on(1, 5), agreeing(range(4)))
    for form in ("table", "csv", "json"):
        before = pay(call, "2026-01-01", "2026-02-01", "--format", form)
        assert before[0] == 0
        edited = task(0, a1="owl", a2="cat", a3="cat")
        withdrawn = task(1, a2="dog", a3="dog")
        run(on(2, 5), [edited, withdrawn, *agreeing(range(3, 9), a4="cat")])
        assert pay(call, "2026-01-01", "2026-02-01", "--format", form) == before
    assert lines(call, "2026-02-01", "2026-03-01")["a1"] == (5, 0, 25)


def test_a_vote_withdrawn_within_the_period_is_not_paid_and_said(call: Call) -> None:
    """And one that is given again counts once."""
    run(on(1, 5), agreeing(range(2)))
    run(on(1, 6), [task(0, a2="cat", a3="cat"), *agreeing([1])])
    assert lines(call, "2026-01-01", "2026-02-01")["a1"] == (1, 1, 5)
    _, out, _ = pay(call, "2026-01-01", "2026-02-01", "--format", "csv")
    assert "1 withdrawn before the end of the period: not paid" in out
    run(on(1, 7), agreeing(range(2)))
    assert lines(call, "2026-01-01", "2026-02-01")["a1"] == (2, 0, 10)


def test_a_vote_that_comes_back_after_the_pay_day_is_not_paid_twice(call: Call) -> None:
    """It was there when January ended; in March a line of 0 says why."""
    run(on(1, 5), agreeing(range(2)))
    run(on(2, 5), [task(0, a2="cat", a3="cat"), *agreeing([1])])
    run(on(3, 5), agreeing(range(2)))
    assert lines(call, "2026-01-01", "2026-02-01")["a1"] == (2, 0, 10)
    assert lines(call, "2026-02-01", "2026-03-01") == {}
    assert lines(call, "2026-03-01", "2026-04-01") == {"a1": (0, 0, 0)}
    _, out, _ = pay(call, "2026-03-01", "2026-04-01", "--format", "csv")
    assert "1 came back after they had counted in an earlier period: not paid again" in out


def test_what_the_owner_does_to_a_task_takes_nobody_s_pay(call: Call) -> None:
    """A task deleted and an annotation made ground truth within the period stay paid."""
    tasks = agreeing(range(3))
    run(on(1, 5), tasks)
    gold = [Annotation(**{**vars(one), "ground_truth": one.annotator == "a1"}) for one in tasks[1].annotations]
    run(on(1, 6), [Task(1, tasks[1].data, gold), tasks[2]])
    assert lines(call, "2026-01-01", "2026-02-01") == dict.fromkeys(("a1", "a2", "a3"), (3, 0, 15))


def test_spam_is_paid_nothing_by_the_suspicions_of_that_time(call: Call) -> None:
    """Who guesses gets a line of 0 with the reason; a pardon in the rules pays."""
    generator = np.random.default_rng(1)
    tasks = [
        task(number, a1=right, a2=right, a3=right, a4=str(generator.choice(["cat", "dog", "owl"])))
        for number in range(150)
        for right in [("cat", "dog", "owl")[number % 3]]
    ]
    run(on(1, 5), tasks)
    found = lines(call, "2026-01-01", "2026-02-01")
    assert (found["a1"], found["a4"]) == ((150, 0, 750), (150, 0, 0))
    _, out, _ = pay(call, "2026-01-01", "2026-02-01")
    assert "150 votes and 0 unsure are rejected: spam: agrees" in " ".join(out.split())
    Path("pay.toml").write_text('pardon = ["a4"]\n' + RULES)
    assert lines(call, "2026-01-01", "2026-02-01")["a4"] == (150, 0, 600)


def test_the_best_annotator_is_of_the_calendar_month(call: Call) -> None:
    """January's bonus is in the period in which January ends, whole or in weeks, and never twice."""
    Path("pay.toml").write_text(RULES + BEST)
    run(
        on(1, 5), [*agreeing(range(20)), *(task(number, a1="cat", a2="cat", a3="dog") for number in range(20, 25))]
    )

    def bonus(first: str, end: str) -> tuple[dict[str, int], list[str]]:
        status, out, _ = pay(call, first, end, "--format", "json")
        assert status == 0
        found = json.loads(out)
        return {one["annotator"]: one["amount"] for one in found["lines"] if not one["control"]}, found["notes"]

    assert bonus("2026-01-01", "2026-02-01") == ({"a1": 500, "a2": 500}, [])
    assert bonus("2026-01-26", "2026-02-02")[0] == {"a1": 500, "a2": 500}
    assert bonus("2026-01-05", "2026-01-12") == (
        {}, ["no calendar month ends in the period, so there is no bonus for a best annotator"],
    )  # fmt: skip
    assert bonus("2026-02-01", "2026-03-01") == (
        {},
        [
            "no run started in the period; votes that were made in it count when a run first sees them",
            "2026-02: nobody has the paid votes that the bonus for the best annotator asks for",
        ],
    )


def test_pay_as_json_and_into_a_file(call: Call) -> None:
    """Lines, totals, the rules and the period; the file holds what would be printed."""
    run(on(1, 5), agreeing(range(4)))
    _, out, _ = pay(call, "2026-01-01", "2026-02-01", "--format", "json")
    found = json.loads(out)
    assert (found["project"], found["from"], found["to"]) == (7, "2026-01-01", "2026-02-01")
    assert (found["totals"], found["total"]) == ({"a1": 20, "a2": 20, "a3": 20}, 60)
    assert found["rules"]["per_vote"] == 4
    assert all(isinstance(one["amount"], int) and one["why"] for one in found["lines"])
    _, said, _ = pay(call, "2026-01-01", "2026-02-01", "--format", "json", "--out", "pay.json")
    assert said == "3 lines written to pay.json: 60 EUR cent in all\n"
    assert Path("pay.json").read_text() == out
    _, table, _ = pay(call, "2026-01-01", "2026-02-01", "--format", "csv")
    pay(call, "2026-01-01", "2026-02-01", "--out", "pay.csv")
    assert Path("pay.csv").read_text() == table


@pytest.mark.parametrize(
    ("first", "end", "words"),
    [
        ("2026-02-01", "2026-02-01", "is empty; --to is exclusive and must be after --from"),
        ("2026-02-02", "2026-02-01", "is empty"),
        ("2026-05-01", "2026-06-02", "which is not over (today is 2026-06-01, UTC)"),
        ("2026-13-01", "2026-02-01", "--from is '2026-13-01', which is no day; write it as in 2026-01-31"),
        ("20260101", "2026-02-01", "--from is '20260101', which is no day"),
        ("2026-01-01", "tomorrow", "--to is 'tomorrow', which is no day"),
        ("2026-W01-1", "2026-02-01", "--from is '2026-W01-1', which is no day"),
        ("0001-01-01", "2026-02-01", "is longer than 5 years; is --from right?"),
    ],
)
def test_periods_that_cannot_be_meant_are_refused(call: Call, first: str, end: str, words: str) -> None:
    """In one sentence that names the option."""
    run(on(1, 5), agreeing(range(2)))
    status, _, err = pay(call, first, end)
    assert status == 1
    assert words in err


def held(tasks: list[Task]) -> Studio:
    """A Label Studio in memory that holds some tasks."""
    studio = InMemoryStudio(CONFIG)
    studio.accounts = {number: f"a{number}" for number in range(1, 4)}
    for each in tasks:
        rows = [
            {
                "id": row.id,
                "completed_by": int(row.annotator[1:]),
                "result": row.result,
                "lead_time": row.lead_time,
            }
            for row in each.annotations
        ]
        studio.add_task(each.data, rows, task_id=each.id)
    return Studio(studio.client())


def test_a_run_keeps_what_the_commands_need(call: Call) -> None:
    """Controls, intervals, suspicions and the ledger, in which a vote on an unreadable task does not end."""
    store = Store.migrated("sqlite:///consensus.db")
    tasks = agreeing(range(3))
    for day, rows in ((1, tasks), (2, [task(0, label="yak", a1="cat"), *tasks[1:]])):
        pipeline.run(held(rows), store, ProjectConfig(), 7, now=lambda: on(1, day))  # noqa: B023 - called at once
    assert lines(call, "2026-01-01", "2026-02-01") == dict.fromkeys(("a1", "a2", "a3"), (3, 0, 15))
    _, out, _ = call("annotators", "--project", 7, "--format", "json")
    for row in json.loads(out):
        assert 0 <= row["trust_low"] <= row["trust"] <= row["trust_high"] <= 1
        assert (row["suspicions"], len(row["history"])) == ([], 2)


def test_pay_waits_for_no_run(call: Call) -> None:
    """While a run holds the project its start may lie in the period: nothing is said until it is done."""
    run(on(1, 5), agreeing(range(2)))
    with Store.migrated("sqlite:///consensus.db").lock(7):
        status, _, err = pay(call, "2026-01-01", "2026-02-01")
    assert (status, "another run is at work on project 7" in err) == (1, True)


@pytest.mark.parametrize("command", ["annotators", "agreement", "pay"])
def test_a_project_without_a_run_is_named(call: Call, command: str) -> None:
    """The message says what to do."""
    Store.migrated("sqlite:///consensus.db")
    period = ("--from", "2026-01-01", "--to", "2026-02-01", "--rules", "pay.toml") if command == "pay" else ()
    status, _, err = call(command, "--project", 7, *period)
    assert status == 1
    assert "project 7 has no run yet in this store; do `consensus run --project 7`" in err


def test_other_things_that_are_not_there(call: Call) -> None:
    """An annotator, a folder to write into, and a run that kept no controls."""
    run(on(1, 5), agreeing(range(2)))
    status, _, err = call("annotators", "--project", 7, "--annotator", "a5")
    assert (status, "has no vote of 'a5'; it has votes of a1, a2, a3" in err) == (1, True)
    status, _, err = pay(call, "2026-01-01", "2026-02-01", "--out", "nowhere/pay.csv")
    assert (status, "nowhere/pay.csv cannot be written: there is no folder nowhere; make it" in err) == (1, True)
    facts = {"project": 8, "started_at": on(1, 5), "model_version": "", "policy": "default", "thresholds": {}}
    Store.migrated("sqlite:///consensus.db").save(
        {**facts, "tasks": 0, "votes": 0, "problems": 0}, as_columns(CLASSIFICATION, []), as_columns(VOTE, []), []
    )
    status, _, err = call("agreement", "--project", 8)
    assert (status, "the last run of project 8 was made by a version of consensus that kept less" in err) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    "out",
    [
        "pay.toml",
        "./pay.toml",
        "consensus.db",
        "consensus.db-wal",
        "link.db-journal",
        ".env",
        "link.db.project-7.lock",
    ],
)
def test_pay_is_never_written_over_what_it_reads(call: Call, out: str) -> None:
    """Neither the rules nor the store, its files and locks, nor the settings, whatever the name."""
    Path(".env").touch()
    for name in ("", "-journal", ".project-7.lock"):
        Path(f"link.db{name}").symlink_to(f"consensus.db{name}")
    run(on(1, 5), agreeing(range(2)))
    status, _, err = pay(call, "2026-01-01", "2026-02-01", "--out", out)
    assert (status, "error: --out would overwrite " in err) == (1, True)
    assert Path("pay.toml").read_text().startswith(RULES[:20])


def test_a_project_without_votes_has_empty_lists(call: Call) -> None:
    """No annotators, agreement of nothing, nothing to pay."""
    run(on(1, 5), [Task(1, {"label": "cat"})])
    assert call("annotators", "--project", 7, "--format", "json")[:2] == (0, "[]\n")
    assert call("annotators", "--project", 7)[0] == 0
    _, out, _ = call("agreement", "--project", 7, "--format", "json")
    assert {row["answers"] for row in json.loads(out)} == {0}
    assert lines(call, "2026-01-01", "2026-02-01") == {}

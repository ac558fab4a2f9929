"""Pay lists in the console: those of the command, and to everybody the own lines."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import sqlalchemy
from flask.testing import FlaskClient
from made_desk import PASSWORD, Desk, words
from made_projects import PROJECT
from test_people import A5, A6, computed, suspect

from consensus.core.people.pay import totals
from consensus.people.cost import Cost, cost_of
from consensus.people.crowd import crowd_of
from consensus.people.csv_tables import pay_csv
from consensus.people.pay_rules import read_rules
from consensus.people.payroll import Payroll, payroll
from consensus.settings import ProjectConfig

PAY = f"/projects/{PROJECT}/pay"
RULES = """
unit = "EUR cent"
per_vote = 4
reject = ["spam", "copying"]
[[tiers]]
trust = 0.5
bonus_percent = 25
[best_annotator]
bonus = 1000
min_votes = 5
"""


@pytest.fixture
def paying(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk with rules, on the 20th of the second month after its run."""
    (tmp_path / "pay.toml").write_text(RULES)
    object.__setattr__(desk.service, "config", lambda _: ProjectConfig(pay=tmp_path / "pay.toml"))
    with desk.store.snapshot() as snapshot:
        started = snapshot.needed_run(PROJECT)["started_at"]
    monkeypatch.setattr(
        "consensus.console.pay.today", lambda: following(following(started.date())).replace(day=20)
    )
    return desk


def following(day: date) -> date:
    """The first day of the next month."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def period(desk: Desk) -> tuple[date, date]:
    """The month of the run."""
    with desk.store.snapshot() as snapshot:
        first = snapshot.needed_run(PROJECT)["started_at"].date().replace(day=1)
    return first, following(first)


def by_command(desk: Desk) -> Payroll:
    """What `consensus pay` makes of the month of the run."""
    rules = read_rules(desk.service.config(PROJECT).pay or Path())
    return payroll(desk.store, PROJECT, *period(desk), rules.core(), datetime.now(UTC).date().replace(year=9000))


def asked(desk: Desk) -> str:
    """The address of the month of the run."""
    first, end = period(desk)
    return f"from={first}&to={end}"


def test_the_list_is_that_of_the_command(paying: Desk, admin: FlaskClient) -> None:
    """Its lines with their grounds, the total, and the file to the last byte."""
    made, text = by_command(paying), words(computed(admin, f"{PAY}?{asked(paying)}"))
    assert [line.item.split()[0] for line in made.lines].count("votes") == 3
    for line in made.lines:
        assert f"{line.amount:,} {line.why}" in text
    for name, amount in totals(made.lines).items():
        assert f"{name} {amount:,}" in text
    assert f"{sum(line.amount for line in made.lines):,} EUR cent in all" in text
    assert "25 % more from a trust of 0.5 on." in text
    answer = admin.get(f"{PAY}.csv?{asked(paying)}")
    assert (answer.text, answer.mimetype) == (pay_csv(made.lines), "text/csv")


@pytest.mark.usefixtures("paying")
def test_notes_are_shown(admin: FlaskClient) -> None:
    """What somebody who pays should know of the period."""
    text = words(computed(admin, f"{PAY}?from=2001-01-02&to=2001-01-09"))
    assert "no run started in the period" in text
    assert "no calendar month ends in the period" in text
    assert "Nothing is to be paid." in text


@pytest.mark.usefixtures("paying")
def test_without_a_period_the_last_month_is_offered(admin: FlaskClient) -> None:
    """And nothing is computed before somebody asks for it."""
    page = admin.get(PAY).text
    assert 'name="from" value="' in page
    assert "in all" not in page


@pytest.mark.usefixtures("paying")
@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("from=2026-02-30&to=2026-03-01", 400, "from is '2026-02-30', which is no day"),
        ("from=2026-03-01&to=x", 400, "to is 'x', which is no day"),
        ("from=2026-03-01&to=2026-03-01", 200, "is empty"),
        ("from=2026-03-01&to=9999-03-01", 200, "which is not over"),
    ],
)
def test_periods_that_cannot_be_meant_are_refused(
    admin: FlaskClient, query: str, status: int, message: str
) -> None:
    """In the words of the command."""
    answer = admin.get(f"{PAY}?{query}")
    text = computed(admin, f"{PAY}?{query}") if status == 200 else answer.text
    assert (answer.status_code, message in words(text)) == (status, True)
    assert admin.get(f"{PAY}.csv?{query}").status_code == (303 if status == 200 else 400)


def test_while_a_run_is_at_work_the_list_waits(paying: Desk, admin: FlaskClient) -> None:
    """It may have started within the period; afterwards the list is there."""
    with paying.store.lock(PROJECT):
        assert "problem" in computed(admin, f"{PAY}?{asked(paying)}")
    assert "in all" in computed(admin, f"{PAY}?{asked(paying)}")


def test_without_rules_it_is_said_how_to_make_them(desk: Desk, admin: FlaskClient, tmp_path: Path) -> None:
    """And rules that cannot be read are named."""
    assert 'pay = "pay.toml"' in words(admin.get(f"{PAY}?{asked(desk)}").text)
    assert admin.get(f"{PAY}.csv?{asked(desk)}").status_code == 400
    (tmp_path / "pay.toml").write_text('unit = "cent"\nper_vote = 0.5\n')
    object.__setattr__(desk.service, "config", lambda _: ProjectConfig(pay=tmp_path / "pay.toml"))
    assert "per_vote" in words(admin.get(PAY).text)
    assert "No project" not in admin.get(PAY).text


def test_an_annotator_sees_the_own_pay_alone(paying: Desk) -> None:
    """By month, with the grounds, and without who else is meant by a suspicion."""
    paying.made.server.passwords[A5] = PASSWORD
    suspect(paying, A5, "copying", f"shares with {A6} 9 of 12 answers that most others reject")
    client, month = paying.signed_in(A5), f"{period(paying)[0]:%Y-%m}"
    text = words(computed(client, f"/projects/{PROJECT}/my-pay?month={month}"))
    assert "are rejected: copying: shares with another annotator 9 of 12" in text
    assert f"0 EUR cent for {month}" in text
    assert "a6@" not in text
    assert "a7@" not in text
    assert client.get(PAY).status_code == 403
    assert client.get(f"{PAY}.csv").status_code == 403
    assert client.get(f"/projects/{PROJECT}/my-pay?month=1999-01").status_code == 400
    assert "Nothing for" in words(computed(client, f"/projects/{PROJECT}/my-pay"))
    assert client.get("/projects/8/my-pay").status_code == 404


def test_own_lines_are_those_of_the_list(paying: Desk) -> None:
    """To the cent."""
    paying.made.server.passwords[A5] = PASSWORD
    client, month = paying.signed_in(A5), f"{period(paying)[0]:%Y-%m}"
    text = words(computed(client, f"/projects/{PROJECT}/my-pay?month={month}"))
    own = [line for line in by_command(paying).lines if line.annotator == A5]
    assert f"{sum(line.amount for line in own):,} EUR cent for {month}" in text
    for line in own:
        assert line.why in text


def test_what_it_cost_is_the_pay_of_its_months(paying: Desk, admin: FlaskClient) -> None:
    """As `consensus pay` makes them, and for each label that was decided; the last month until yesterday."""
    first, end = period(paying)
    rules = read_rules(paying.service.config(PROJECT).pay or Path()).core()
    by_month = (
        by_command(paying).lines,
        payroll(paying.store, PROJECT, end, following(end), rules, following(end)).lines,
    )
    total = sum(line.amount for lines in by_month for line in lines)
    assert total > 1_000
    page = computed(admin, f"/projects/{PROJECT}/cost")
    text, today = words(page), following(end).replace(day=20)
    assert f"{total:,} EUR cent by the rules, until {today}, without today" in text
    assert f"0 of it from {following(end)} on" in text
    assert f"{first} {sum(line.amount for line in by_month[0]):,}" in text
    with paying.store.snapshot() as snapshot:
        counts = snapshot.pages.report_totals(PROJECT)
    decided = counts["AllConfirmed"] + counts["MisClassified"] + counts["Discovered"]
    assert f"A decided label {total / decided:,.1f} EUR cent of {decided}" in text
    shown = words(computed(admin, f"{PAY}?{asked(paying)}"))
    assert f"{sum(line.amount for line in by_month[0]):,} EUR cent in all" in shown
    assert f'hx-get="/projects/{PROJECT}/cost"' in admin.get(f"/projects/{PROJECT}/").text


def test_while_a_run_is_at_work_what_it_cost_is_there(paying: Desk, admin: FlaskClient) -> None:
    """Nothing holds the project for a page that somebody only looks at."""
    with paying.store.lock(PROJECT):
        assert "EUR cent by the rules" in words(computed(admin, f"/projects/{PROJECT}/cost"))


def test_hours_are_those_of_the_people(desk: Desk, admin: FlaskClient) -> None:
    """Without rules it is said that no pay can be told; the time is told all the same."""
    with sqlalchemy.create_engine(f"sqlite:///{desk.folder}/store.db").begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE vote SET lead_time = 5, annotation = annotation / 2"))
    with desk.store.snapshot() as snapshot:
        seconds = sum(crowd_of(snapshot, PROJECT).seconds.values())
        assert 150 <= seconds <= 160  # of 60 votes about 30 annotations, each counted once
        assert cost_of(snapshot, PROJECT, None, date(2099, 1, 1)) == Cost(seconds / 3600)
    text = words(computed(admin, f"/projects/{PROJECT}/cost"))
    assert 'the settings file names no rules ( pay = "pay.toml" )' in text
    assert "Annotators' time 2 minutes" in text
    assert "EUR" not in text

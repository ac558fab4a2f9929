"""Pay: a period, the rules, the lines with their grounds, and the total."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, NotFound

from common.errors import SuiteError
from consensus.console.access import Role, needs
from consensus.console.apart import on_store
from consensus.console.computed import Outcome
from consensus.console.desk import console
from consensus.console.people import csv_file
from consensus.core.people.pay import Line, rules_in_words, totals
from consensus.core.people.suspicion import without_names
from consensus.people.csv_tables import pay_csv
from consensus.people.pay_rules import RulesFile, read_rules
from consensus.people.payroll import Payroll, payroll
from consensus.serving.service import check_run, service

pay_pages = Blueprint("pay", __name__)

MONTHS = 12
"""So many months back an annotator sees the own pay."""
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@pay_pages.get("/projects/<int:project>/pay")
@needs(Role.ADMIN)
def pay(project: int) -> str:
    """Show what is to be paid for a period."""
    check_run(service(), project)
    first, end = _period()
    rules, problem = rules_of(project)
    made = pay_of(project, first, end, rules) if rules and "from" in request.args else None
    lines = made.value.lines if made and made.value else []
    return render_template(
        "pay.html",
        first=first,
        end=end,
        rules=rules,
        words=rules_in_words(rules.core()) if rules else [],
        problem=problem,
        pay=made,
        lines=lines,
        totals=totals(lines),
        total=sum(line.amount for line in lines),
    )


@pay_pages.get("/projects/<int:project>/pay.csv")
@needs(Role.ADMIN)
def table(project: int) -> ResponseReturnValue:
    """Send what `consensus pay --format csv` prints."""
    check_run(service(), project)
    first, end = _period()
    rules, problem = rules_of(project)
    if rules is None:
        raise BadRequest(problem or "there are no rules")
    made = pay_of(project, first, end, rules)
    if made.value is None:
        flash(made.error or "The list is being computed: ask for it again in a moment.")
        return redirect(f"{url_for('pay.pay', project=project)}?from={first}&to={end}", 303)
    return csv_file(pay_csv(made.value.lines), f"pay-{project}-{first}-{end}.csv")


@pay_pages.get("/projects/<int:project>/my-pay")
@needs(Role.ANNOTATOR)
def own(project: int) -> str:
    """Show who has signed in what they are paid for a month.

    A project without votes of theirs looks like one that is not there.
    """
    name = str(g.member.email)
    with service().store.snapshot() as snapshot:
        run = snapshot.last_run(project)
        if run is None or not snapshot.pages.annotator(run["id"], name):
            raise NotFound(f"no run of project {project} has seen a vote of yours there")
    months = _months()
    month = request.args.get("month") or f"{months[0]:%Y-%m}"
    first = next((each for each in months if f"{each:%Y-%m}" == month), None)
    if first is None:
        raise BadRequest(f"the month is {month!r}; there are {', '.join(f'{each:%Y-%m}' for each in months)}")
    rules, _ = rules_of(project)
    made = pay_of(project, first, _following(first), rules) if rules else None
    lines = [_nameless(line) for line in made.value.lines if line.annotator == name] if made and made.value else []
    return render_template(
        "my_pay.html",
        month=month,
        months=[f"{each:%Y-%m}" for each in months],
        rules=rules,
        words=rules_in_words(rules.core()) if rules else [],
        pay=made,
        lines=lines,
        total=sum(line.amount for line in lines),
    )


def pay_of(project: int, first: date, end: date, rules: RulesFile) -> Outcome[Payroll]:
    """Return the pay list of a period, or that it is being made.

    Once a period is over nothing changes its list, but runs that began in it and end later do.
    """
    store, until = service().store, today()
    run = store.last_run(project)
    key = "pay", project, run and run["id"], first, end, rules.model_dump_json()
    n_votes = int(run["votes"]) if run else 0
    return console().computed.of(key, on_store(store, n_votes, payroll, project, first, end, rules.core(), until))


def rules_of(project: int) -> tuple[RulesFile | None, str]:
    """Return the rules that the settings file names, or why there are none."""
    path = service().config(project).pay
    if path is None:
        return None, ""
    try:
        return read_rules(path), ""
    except SuiteError as error:
        return None, str(error)


def _period() -> tuple[date, date]:
    """Return the first day and the day after the last one; those of the last month where the address has none."""
    last_month = _months()[0]
    return _day("from", last_month), _day("to", _following(last_month))


def _day(name: str, otherwise: date) -> date:
    text = request.args.get(name)
    if text is None:
        return otherwise
    try:
        if DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise BadRequest(f"{name} is {text!r}, which is no day; write it as in 2026-01-31")


def _months() -> list[date]:
    """Return the first days of the months that are over, the last one first."""
    months = [(today().replace(day=1) - timedelta(days=1)).replace(day=1)]
    while len(months) < MONTHS:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return months


def _following(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _nameless(line: Line) -> Line:
    return replace(line, why=without_names(line.why))


def today() -> date:
    """Return the day that it is, in UTC."""
    return datetime.now(UTC).date()

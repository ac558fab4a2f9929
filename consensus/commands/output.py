"""What a person sees: tables, progress and outcomes."""

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from rich.table import Table
from rich.text import Text

from common.console import console, csv_pages, csv_text, emit, error_console
from common.progress import Progress, shown_on

if TYPE_CHECKING:
    from consensus.projects.run import Outcome
    from consensus.store.columns import Columns, Row

Format = Literal["table", "csv", "json"]
OUT = console()
ERR = error_console()
PROBLEMS_SHOWN = 10
PAGE = 10_000
"""Rows that are laid out at once for a program."""


def progress_shown(*, quiet: bool = False) -> AbstractContextManager[Progress]:
    """Show the steps of a run as bars on standard error, or nothing where that is no terminal."""
    return shown_on(ERR, quiet=quiet)


def print_lines(text: str) -> None:
    """Print a text of several lines of ours."""
    for line in text.splitlines():
        OUT.print(line)


def outcome_json(outcome: "Outcome") -> dict[str, Any]:
    """Lay a run's outcome out for machines."""
    changes = outcome.changes
    return {
        "project": outcome.project.id,
        "controls": [control.about for control in outcome.controls],
        "classifications": outcome.classifications,
        "votes": outcome.votes,
        "reports": outcome.reports,
        "annotators": outcome.annotators,
        "problems": [asdict(problem) for problem in outcome.problems],
        "unused": outcome.unused,
        "writes": {
            "created": len(changes.create),
            "updated": len(changes.update),
            "deleted": len(changes.delete),
            "cleared": len(changes.clear),
            "tabs": len(outcome.tabs),
        },
        "columns": len(outcome.columns),
        "dry_run": outcome.dry_run,
        "guarantees": list(outcome.guarantees),
        "alike": list(outcome.alike),
        "gold_tasks": outcome.gold_tasks,
        "settled_tasks": outcome.settled_tasks,
        "undecided_tasks": outcome.undecided_tasks,
        "one_vote_a_task": outcome.one_vote_a_task,
        "failures": list(outcome.failures),
    }


def show_outcome(outcome: "Outcome") -> None:
    """Print a run's outcome for a person."""
    OUT.print(Text.assemble((outcome.project.title, "bold"), f" (project {outcome.project.id})"))
    for control in outcome.controls:
        OUT.print(f"  {control.about}")
    for line in what_settles(outcome):
        OUT.print(line)
    for line in outcome.project.config.reasons:
        OUT.print(f"  not counted: {line}")
    OUT.print(f"  {outcome.votes} votes on {outcome.classifications} classifications")
    for line in outcome.guarantees:
        OUT.print(f"  {line}")
    show_rows([{"report": name, "classifications": n} for name, n in outcome.reports.items()], "Reports")
    for line in next_steps(outcome):
        OUT.print(line)
    show_rows([{**row, "trust": round(row["trust"], 3)} for row in outcome.annotators], "Annotators")
    for line in outcome.alike:
        ERR.print(
            f"answer alike beyond what the others explain, so that their votes count as one: {line}",
            style="yellow",
        )
    _show_left_out(outcome)
    OUT.print(_sent(outcome))
    for line in outcome.failures:
        ERR.print(f"the run is stored, but {line}; the next run tries again", style="yellow")


def _show_left_out(outcome: "Outcome") -> None:
    for problem in outcome.problems[:PROBLEMS_SHOWN]:
        line = f"left out: task {problem.task}: {problem.what}"
        ERR.print(line, style="yellow")
    if len(outcome.problems) > PROBLEMS_SHOWN:
        ERR.print(f"... and {len(outcome.problems) - PROBLEMS_SHOWN} more tasks left out", style="yellow")
    for line in outcome.unused:
        ERR.print(f"without effect: {line}", style="yellow")


def what_settles(outcome: "Outcome") -> Iterator[str]:
    """Yield how many tasks are settled, and what that does."""
    if outcome.gold_tasks:
        role = "what the guarantee rests on" if outcome.guarantees else "the measure of everybody's trust"
        yield (
            f"  {outcome.gold_tasks} tasks have ground truth: no vote, but {role}, and it settles their labels "
            "(labels imported as annotations are ground truth too, unless imported otherwise; where they are to "
            "be checked, `given_annotations` of the settings makes them the given labels)"
        )
    if (others := outcome.settled_tasks - outcome.gold_tasks) > 0:
        yield f"  {others} more tasks are settled by decisions that are no vote and teach nothing"


def next_steps(outcome: "Outcome") -> Iterator[str]:
    """Yield what helps where the reports leave much open."""
    project = outcome.project.id
    if outcome.undecided_tasks:
        yield (
            f"{outcome.undecided_tasks} tasks have something undecided: `consensus route --project {project}` "
            f"asks for one more vote on each, `consensus report Undecided --project {project}` lists them, the "
            "most contradicted first"
        )
    if outcome.one_vote_a_task:
        yield (
            "every task has one vote at most, and Label Studio asks for no more (an overlap of 1): one vote "
            "decides nothing, nobody's trust can be told from agreement, and most reports stay empty. Raise "
            f"`maximum_annotations` of the project, or let `consensus route --project {project}` ask for more"
        )


def _sent(outcome: "Outcome") -> str:
    changes = outcome.changes
    if changes.empty and not outcome.tabs and not outcome.columns:
        return "Label Studio is up to date: nothing to send."
    done = "Dry run, nothing sent; would be" if outcome.dry_run else "Sent:"
    counts = [
        f"{len(changes.create)} created",
        f"{len(changes.update)} updated",
        f"{len(changes.delete)} deleted",
        *(f"{version} written anew" for version in changes.clear),
        *(f"tab {name} made" for name in outcome.tabs),
        *([f"columns of {len(outcome.columns)} tasks"] if outcome.columns else []),
    ]
    return f"{done} {', '.join(counts)}."


def show_rows(rows: "Sequence[Row]", title: str | None = None) -> None:
    """Print rows as a table."""
    table = Table(title=title, title_justify="left")
    for name, value in (rows[0] if rows else {"(none)": ""}).items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    OUT.print_table(table)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def print_columns(columns: "Columns", form: Format) -> None:
    """Print columns as a table for a person, or as CSV or JSON for a program, which gets them page by page."""
    from consensus.store.columns import as_rows  # noqa: PLC0415  # brings the database

    n_rows = len(next(iter(columns.values())))
    pages = (as_rows(columns, slice(start, start + PAGE)) for start in range(0, n_rows or 1, PAGE))
    if form == "table":
        show_rows([row for page in pages for row in page])
        return
    if form == "csv":
        for text in csv_pages(pages, [*columns]):
            emit(text)
        return
    for number, page in enumerate(pages):
        emit((", " if number else "[") + json.dumps(page, ensure_ascii=False)[1:-1])
    emit("]\n")


def with_proposals(columns: "Columns", proposals: "Sequence[Row]") -> "Columns":
    """Add to the columns of MisClassified what is proposed for each of their rows, and its posterior."""
    import numpy as np  # noqa: PLC0415  # brings nothing that is not there by now

    by_row = {(row["control"], row["task"], row["label"]): row for row in proposals}
    keys = zip(*(columns[name].tolist() for name in ("control", "task", "label")), strict=True)
    rows = [by_row.get(key, {}) for key in keys]  # a run of an older version stored no controls
    labels = np.array([", ".join(row.get("proposed", ())) for row in rows], dtype=object)
    posterior = np.array([row.get("proposed_posterior") for row in rows], dtype=np.float64)
    return {**columns, "proposed": labels, "proposed_posterior": posterior}


def print_rows(rows: "Sequence[Row]", columns: Sequence[str], form: Format) -> None:
    """Print rows as a table for a person, or as CSV or JSON for a program."""
    if form == "json":
        emit(json.dumps([{name: row[name] for name in columns} for row in rows], ensure_ascii=False) + "\n")
    elif form == "csv":
        emit(csv_text(rows, columns))
    else:
        show_rows([{name: row[name] for name in columns} for row in rows])

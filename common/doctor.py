"""The frame of `doctor` in both programs: what a check finds, how checks are run, and how it is shown."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import typer
from rich.progress import SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from common.console import console as new_console
from common.console import emit, error_console
from common.errors import SuiteError
from common.logs import fault
from common.progress import shown_on


class Level(StrEnum):
    """Whether something is to be done."""

    FINE = "fine"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """What was seen, and for a problem or a warning why it matters and what helps.

    Parameters
    ----------
    seen, why, remedy : str
        Sentences for an operator, without a full stop at their end.
    """

    level: Level
    seen: str
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """A finding, and where it belongs.

    Parameters
    ----------
    about : str
        ``Label Studio``, the program or a project with its title.
    """

    about: str
    project_id: int | None
    check: str
    finding: Finding

    @property
    def row(self) -> dict[str, Any]:
        """It as JSON: about, project, check, level, seen, why and remedy."""
        return {
            "about": self.about,
            "project": self.project_id,
            "check": self.check,
            **asdict(self.finding),
            "level": self.finding.level.value,
        }


Step = Callable[[str, int, int], None]
"""Is called with the name of a step, how much of it is done, and how much there is."""

_MARKS = {Level.FINE: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.PROBLEM: ("✗", "bold red")}


def fine(seen: str) -> Finding:
    """Return a finding where nothing is to be done."""
    return Finding(Level.FINE, seen)


def warning(seen: str, why: str, remedy: str = "") -> Finding:
    """Return a finding where something may be to be done."""
    return Finding(Level.WARNING, seen, why, remedy)


def problem(seen: str, why: str, remedy: str) -> Finding:
    """Return a finding where something is to be done."""
    return Finding(Level.PROBLEM, seen, why, remedy)


def run_checks(
    about: str,
    project_id: int | None,
    checks: Mapping[str, Callable[..., Iterable[Finding]]],
    *arguments: object,
) -> Iterator[Diagnosis]:
    """Run checks with the same arguments; one that fails is a problem itself, and the others are run."""
    for name, check in checks.items():
        try:
            for finding in check(*arguments):
                yield Diagnosis(about, project_id, name, finding)
        except SuiteError as error:
            yield Diagnosis(about, project_id, name, _failed(str(error)))
        except Exception as error:  # noqa: BLE001 - the other checks must run whatever this one did
            yield Diagnosis(about, project_id, name, _failed(" at ".join(fault(error).values())))


def report(examine: Callable[[Step], Iterable[Diagnosis]], *, as_json: bool) -> None:
    """Print what an examination finds, as soon as it is known, or as JSON.

    Raises
    ------
    typer.Exit
        With status 1 where something is to be done.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
    with shown_on(error_console(), *columns, first="", transient=True) as show:
        diagnoses = examine(lambda name, done, total: show(f"{name} ({done + 1} of {total})", done, total))
        levels = (_print_json if as_json else _print)(diagnoses)
    if levels[Level.PROBLEM]:
        raise typer.Exit(1)


def as_object(diagnoses: Sequence[Diagnosis]) -> dict[str, Any]:
    """Return what an examination has found as a JSON object: whether all is fine, and each finding."""
    problems = any(diagnosis.finding.level is Level.PROBLEM for diagnosis in diagnoses)
    return {"fine": not problems, "findings": [diagnosis.row for diagnosis in diagnoses]}


def _failed(why: str) -> Finding:
    return problem(
        f"this could not be checked: {why}", "whether it is right is not known", "mend that, and try again"
    )


def _print(diagnoses: Iterable[Diagnosis]) -> Counter[Level]:
    console = new_console()
    levels: Counter[Level] = Counter()
    about = ""
    for diagnosis in diagnoses:
        if diagnosis.about != about:
            about = diagnosis.about
            console.print(Text(about[:1].upper() + about[1:], style="bold"))
        finding = diagnosis.finding
        levels[finding.level] += 1
        mark, style = _MARKS[finding.level]
        lines = Table.grid(padding=(0, 1, 0, 2))
        lines.add_row(Text(mark, style=style), Text.assemble((f"{diagnosis.check}: ", "bold"), finding.seen))
        for word, sentence in (("because", finding.why), ("remedy", finding.remedy)):
            if sentence:
                lines.add_row("", Text.assemble((f"{word}: ", "dim"), sentence))
        console.print_table(lines)
    counts = f"{levels[Level.PROBLEM]} to do, {levels[Level.WARNING]} to consider, {levels[Level.FINE]} fine."
    console.print(Text(counts, style="bold"))
    return levels


def _print_json(diagnoses: Iterable[Diagnosis]) -> Counter[Level]:
    seen = list(diagnoses)
    emit(json.dumps(as_object(seen), indent=2, ensure_ascii=False) + "\n")
    return Counter(diagnosis.finding.level for diagnosis in seen)

"""``ml-backend doctor``."""

import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from common.console import console as new_console
from common.console import error_console
from ml_backend.settings import get_settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ml_backend.doctor import Diagnosis

_MARKS = {"fine": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "bold red")}


def doctor(
    project: Annotated[
        list[int] | None,
        typer.Option(help="Id of a project; all that are connected to this backend if not given."),
    ] = None,
    url: Annotated[
        str, typer.Option(help="This backend's address as seen from Label Studio. [ML_BACKEND_PUBLIC_URL]")
    ] = "",
    images: Annotated[int, typer.Option(min=0, help="Images of each project that are fetched to see.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find what goes wrong between Label Studio and this backend, and what helps. Changes nothing.

    Ends with status 1 where something is to be done; warnings do not count.
    """
    from ml_backend.doctor import examine  # noqa: PLC0415 - --help needs none of it

    settings = read_settings(public_url=url) if url else get_settings()
    person = error_console()
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        console=person,
        transient=True,
        disable=not person.is_terminal,
    ) as shown:
        step = shown.add_task("", total=None)
        found = examine(
            settings,
            project or (),
            images=images,
            progress=lambda name, done, total: shown.update(step, description=f"{name} ({done + 1} of {total})"),
        )
        levels = (_print_json if as_json else _print)(found)
    if levels["problem"]:
        raise typer.Exit(1)


def _print(found: "Iterable[Diagnosis]") -> Counter[str]:
    console = new_console()
    levels: Counter[str] = Counter()
    about = ""
    for one in found:
        if one.about != about:
            about = one.about
            console.print(Text(about[:1].upper() + about[1:], style="bold"))
        finding = one.finding
        levels[finding.level.value] += 1
        mark, style = _MARKS[finding.level.value]
        lines = Table.grid(padding=(0, 1, 0, 2))
        lines.add_row(Text(mark, style=style), Text.assemble((f"{one.check}: ", "bold"), finding.seen))
        for word, said in (("because", finding.why), ("remedy", finding.remedy)):
            if said:
                lines.add_row("", Text.assemble((f"{word}: ", "dim"), said))
        console.print(lines)
    said = f"{levels['problem']} to do, {levels['warning']} to consider, {levels['fine']} fine."
    console.print(Text(said, style="bold"))
    return levels


def _print_json(found: "Iterable[Diagnosis]") -> Counter[str]:
    listed = [
        {
            "about": one.about,
            "project": one.project_id,
            "check": one.check,
            "level": one.finding.level.value,
            "seen": one.finding.seen,
            "why": one.finding.why,
            "remedy": one.finding.remedy,
        }
        for one in found
    ]
    levels = Counter(str(one["level"]) for one in listed)
    typer.echo(json.dumps({"fine": not levels["problem"], "findings": listed}, indent=2, ensure_ascii=False))
    return levels

"""The command line of consensus."""

import json
import logging
import sys
from contextlib import closing
from datetime import UTC, datetime
from types import TracebackType
from typing import Annotated

import typer

from common.console import add_version, emit, let_help_flow, run_program, shows_help
from common.contract import LEFT_OUT, UNDECIDED, ReportName
from common.errors import SuiteError
from consensus.commands import (
    auto,
    batches,
    deciding,
    exporting,
    gold,
    importing,
    output,
    people,
    review,
    route,
    score,
    serving,
)
from consensus.commands.connections import database, existing_store, run_project
from consensus.commands.connections import store as _store
from consensus.commands.connections import studio as _studio
from consensus.commands.doctor import doctor
from consensus.commands.options import ConfigOption, ProjectOption
from consensus.commands.plugin import plugin
from consensus.core.decide.policy_names import PolicyName
from consensus.errors import ConfigError

PING_SECONDS = 10.0
REPORT_COLUMNS = ("task", "control", "label", "given", "yes", "no", "unsure", "confidence", "posterior")
MODEL_COLUMN = "model_share"

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Trust-weighted consensus: from annotators' votes to five reports.",
)


@app.command()
def run(
    project: ProjectOption,
    config: ConfigOption = None,
    policy: Annotated[
        PolicyName | None,
        typer.Option("--policy", help="How votes become a confidence; the settings file's by default."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compute and show what a run would; store and send nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Pull a project's annotations, compute, store, and write the five reports back into Label Studio.

    Reads LABEL_STUDIO_URL, LABEL_STUDIO_API_KEY and CONSENSUS_DATABASE_URL. Sends what changed; a report of which
    most changed is written anew. A score that moved by less than 0.005 stays.
    Exits with 3 where tasks had to be left out, or queues and tabs could not be filled; with 1 where nothing
    could be done.
    """
    from consensus.settings import project_config, settings  # noqa: PLC0415 - --help needs none of it

    with closing(_studio()) as studio, output.progress_shown(quiet=as_json) as progress:
        outcome = run_project(
            studio,
            existing_store() if dry_run else _store(make=True),
            project_config(config or settings().consensus_config, project),
            project,
            now=_now,
            policy=policy,
            dry_run=dry_run,
            progress=progress,
        )
    if as_json:
        emit(json.dumps(output.outcome_json(outcome), ensure_ascii=False) + "\n")
    else:
        output.show_outcome(outcome)
    if outcome.problems or outcome.failures:
        raise typer.Exit(LEFT_OUT)


@app.command()
def report(
    name: Annotated[ReportName, typer.Argument(help="Which report.")],
    project: ProjectOption,
    form: Annotated[output.Format, typer.Option("--format", help="How to print it.")] = "table",
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="So many rows, the first; all of them by default.")
    ] = None,
) -> None:
    """Print one report of the last run, what is best looked at first.

    Of MisClassified the strongest accusations come first, those with the lowest posterior, and of Undecided the
    most contradicted, each with the other label that the votes prefer; of Controversial what is nearest to one
    half; of the others the most confident.
    """
    import numpy as np  # noqa: PLC0415  # --help needs none of it

    with _store().snapshot() as snapshot:
        snapshot.needed_run(project)
        columns = snapshot.report(project, name)
        proposed = snapshot.proposals(project, report=name) if name in ("MisClassified", UNDECIDED) else None
    shown = REPORT_COLUMNS if np.isnan(columns[MODEL_COLUMN]).all() else (*REPORT_COLUMNS, MODEL_COLUMN)
    columns = {column: columns[column][:limit] for column in shown}
    output.print_columns(columns if proposed is None else output.with_proposals(columns, proposed), form)


app.command("import")(importing.import_)
app.command()(importing.import_status)
app.command()(score.score)


@app.command()
def schedule(
    cron: Annotated[
        str | None, typer.Option("--cron", help="Five fields, UTC; CONSENSUS_CRON by default.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Run consensus on all projects by a cron expression, until stopped.

    CONSENSUS_PROJECTS names the projects (as in 1,2,7); empty, every project with a <Choices> is run.
    A project that fails is logged and does not keep the others from running. A database of an older version is
    migrated first.
    """
    from consensus.commands.scheduling import run_on_schedule  # noqa: PLC0415

    run_on_schedule(cron, config)


app.command()(serving.serve)
app.add_typer(plugin, name="plugin")
app.command()(route.route)
app.command()(route.prompt)
app.command()(review.review)
app.command()(review.decide)
app.command()(review.assign)
app.command()(gold.gold)
app.command()(exporting.export)
app.command()(people.annotators)
app.command()(people.agreement)
app.command()(people.pay)
app.command()(deciding.suggestions)
app.command()(deciding.accept)
app.command()(auto.auto)
app.command()(batches.batches)
app.command()(batches.undo)
app.command()(batches.audits)
app.command()(batches.audit)
app.command()(doctor)


@app.command()
def migrate() -> None:
    """Bring the database to the version of this program; make a copy of it before.

    `consensus run` makes the tables of an empty database and refuses one of an older version; `consensus schedule`
    does this by itself.
    """
    changed = database().migrate()
    output.OUT.print(f"{database().name}: {'brought to' if changed else 'is of'} version {database().revision()}")


@app.command()
def ping() -> None:
    """Say whether Label Studio and the database answer; exit with 1 where one does not."""
    faults = []
    for name, ask in (("database", _ask_database), ("Label Studio", _ask_label_studio)):
        try:
            ask()
        except SuiteError as error:
            faults.append(str(error))
        else:
            output.OUT.print(f"{name}: answers")
    if faults:
        raise ConfigError("; ".join(dict.fromkeys(faults)))  # settings are wrong for both


add_version(app)
for _app in (app, plugin):
    let_help_flow(_app)


def _ask_database() -> None:
    database().revision()


def _ask_label_studio() -> None:
    with closing(_studio(PING_SECONDS)) as studio:
        studio.accounts()


def _now() -> datetime:
    return datetime.now(UTC)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Load what writes logs when there is something to log: `score` has nothing else to."""
    from common.logs import configure_logs  # noqa: PLC0415

    sys.excepthook = sys.__excepthook__
    configure_logs()
    sys.excepthook(kind, error, trace)


def main() -> None:
    """Run the command line; an error is one sentence and exit status 1, never a traceback."""
    if "score" in sys.argv[1:2]:
        sys.excepthook = _log_uncaught
    elif not shows_help():
        from common.logs import configure_logs  # noqa: PLC0415

        configure_logs()
        logging.getLogger("alembic").setLevel(logging.WARNING)
    run_program(
        app,
        extra=".",
        interrupted="what was sent stays; the same command sends what is missing",
    )


if __name__ == "__main__":
    main()

"""Commands about people: `consensus annotators | agreement | pay`."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.console import csv_text, emit, note
from common.files import check_outputs, database_files, lock_file, write_whole
from consensus.commands import connections, output
from consensus.commands.options import ProjectOption
from consensus.errors import ConfigError
from consensus.people.csv_tables import annotators_csv, pay_csv

if TYPE_CHECKING:
    from consensus.people.payroll import Payroll
    from consensus.store.columns import Row

FormatOption = Annotated[output.Format, typer.Option("--format", help="How to print it.")]
AGREEMENT = (
    "control", "label", "krippendorff_alpha", "fleiss_kappa", "cohen_kappa", "questions", "answers", "pairs",
    "compared",
)  # fmt: skip
PAIRS = ("control", "label", "annotator", "other", "cohen_kappa", "questions")


def annotators(
    project: ProjectOption,
    annotator: Annotated[
        str | None, typer.Option("--annotator", help="Only this one: an e-mail address as the table shows it.")
    ] = None,
    form: FormatOption = "table",
) -> None:
    """Show what is known of each annotator: trust, gold, agreement, confusions, speed, suggestions, suspicions.

    From what the last run stored; a row per annotator and control. With --annotator also the trust of every run.
    Gold: how many answers were right where it is known what is, and the 95 % interval of that share; whoever is
    surely below the settings' gold_line is named, with what can be done.
    A suspicion is a reason to look, not a verdict: docs/people.md says how each is found.
    """
    from consensus.people.annotator_report import annotator_report  # noqa: PLC0415  # other commands need none of it

    with connections.store().snapshot() as snapshot:
        rows = annotator_report(snapshot, project)
    if annotator is not None:
        names = sorted({row["annotator"] for row in rows})
        rows = [row for row in rows if row["annotator"].casefold() == annotator.casefold()]
        if not rows:
            raise ConfigError(
                f"project {project} has no vote of {annotator!r}; it has votes of {', '.join(names) or 'nobody'}"
            )
    if form == "json":
        emit(json.dumps(rows, ensure_ascii=False) + "\n")
    elif form == "csv":
        emit(annotators_csv(rows))
    elif annotator is None:
        _show_overview(rows)
        _show_below(project)
    else:
        for row in rows:
            _show_page(row)


def agreement(
    project: ProjectOption,
    pairs: Annotated[bool, typer.Option("--pairs", help="Show Cohen's kappa of every two annotators.")] = False,
    form: FormatOption = "table",
) -> None:
    """Show how far annotators agree: Krippendorff's alpha, Fleiss' and Cohen's kappa, per control and label.

    Each with the number of questions or pairs behind it; a row without a label is about all labels of its control.
    cohen_kappa is the mean over the pairs, weighted by the questions that they share. Unsure votes say nothing.
    """
    from consensus.people.annotator_report import agreements  # noqa: PLC0415

    with connections.store().snapshot() as snapshot:
        summary, details = agreements(snapshot, project)
    rows, columns = (details, PAIRS) if pairs else (summary, AGREEMENT)
    if form == "csv":
        _print_csv(rows, columns)
    elif form == "json":
        emit(json.dumps(rows, ensure_ascii=False) + "\n")
    else:
        output.show_rows([{name: _shown(row[name]) for name in columns} for row in rows])


def pay(
    project: ProjectOption,
    first: Annotated[str, typer.Option("--from", help="First day (UTC), as in 2026-01-01.")],
    end: Annotated[str, typer.Option("--to", help="The day after the last one (UTC).")],
    rules: Annotated[Path, typer.Option("--rules", help="What is paid for what (TOML); see config/pay.toml.")],
    form: FormatOption = "table",
    out: Annotated[
        Path | None, typer.Option("--out", help="Write it here instead; CSV unless --format json.")
    ] = None,
) -> None:
    """Say what annotators are to be paid for a period, line by line, and why.

    A vote counts on the day on which a run first saw it, once, and is paid if it stands at the end of that period.
    The same command gives the same answer whenever it is asked. Amounts are whole numbers of the smallest unit.
    """
    from common.settings import ENV_FILE  # noqa: PLC0415
    from consensus.people.pay_rules import read_rules  # noqa: PLC0415
    from consensus.people.payroll import payroll  # noqa: PLC0415
    from consensus.settings import settings  # noqa: PLC0415

    store = connections.store_file()
    check_outputs(
        {"--out": out},
        {"--rules": rules, "CONSENSUS_CONFIG": settings().consensus_config, ENV_FILE: Path(ENV_FILE)}
        | (database_files(store) | {"the project's lock": lock_file(store, project)} if store else {}),
    )
    pay_rules = read_rules(rules)
    period = _day("--from", first), _day("--to", end)
    pay = payroll(connections.store(), project, *period, pay_rules.core(), _today())
    for line in pay.notes:
        note(line)
    summary = {"project": project, "from": str(period[0]), "to": str(period[1]), "rules": pay_rules.model_dump()}
    if out is not None:
        _write(out, _pay_json(pay, summary) if form == "json" else pay_csv(pay.lines))
        output.OUT.print(f"{len(pay.lines)} lines written to {out}: {_sum(pay)} {pay_rules.unit} in all")
    elif form == "table":
        _show_pay(pay, pay_rules.unit)
    else:
        emit(_pay_json(pay, summary) if form == "json" else pay_csv(pay.lines))


def _show_overview(rows: "Sequence[Row]") -> None:
    output.show_rows(
        [
            {
                "control": row["control"],
                "annotator": row["annotator"],
                "votes": row["votes"],
                "trust": row["trust"],
                "95 %": _interval(row),
                "right on gold": _gold(row),
                "with consensus": _shown(row["with_consensus"]),
                "with others": _shown(row["with_others"]),
                "seconds (others)": _seconds(row),
                "suggestions kept": _accepted(row),
                "suspicion": _kinds(row),
            }
            for row in rows
        ],
        "Annotators",
    )
    for row in rows:
        for suspicion in row["suspicions"] or ():
            _say(f"{row['annotator']}, {row['control']}: {suspicion['kind']}: {suspicion['reason']}")


def _show_below(project: int) -> None:
    from consensus.commands.gold import show_below  # noqa: PLC0415
    from consensus.people.gold import below_line  # noqa: PLC0415
    from consensus.settings import project_config, settings  # noqa: PLC0415

    line = project_config(settings().consensus_config, project).review.gold_line
    show_below(below_line(connections.store(), project, line), line)


def _show_page(row: "Row") -> None:
    figures = {
        "votes": row["votes"],
        "trust": f"{row['trust']:.3f}, 95 % interval {_interval(row)}",
        "right where that is known (gold)": _gold(row),
        "same as the consensus": _digits(row["with_consensus"]),
        "same as another annotator": _digits(row["with_others"]),
        "spammer score (0 spammer, 1 perfect)": _digits(row["spammer_score"]),
        "median seconds (the others')": _seconds(row),
        "suggestions kept": _accepted(row),
        "suspicion": _kinds(row),
    }
    output.show_rows(
        [{"fact": name, "value": str(value)} for name, value in figures.items()],
        f"{row['annotator']} on {row['control']}",
    )
    for suspicion in row["suspicions"] or ():
        _say(f"{suspicion['kind']}: {suspicion['reason']}")
    if row["confusions"]:
        mistaken = [{**confusion, "times": f"{confusion['times']:.1f}"} for confusion in row["confusions"]]
        output.show_rows(mistaken, "Most frequent confusions")
    output.show_rows(
        [
            {"run": run["at"], "votes": run["votes"], "trust": run["trust"], "95 %": _interval(run)}
            for run in row["history"]
        ],
        "Trust in each run",
    )


def _show_pay(pay: "Payroll", unit: str) -> None:
    columns = ("annotator", "item", "control", "votes", "base", "bonus", "amount", "why")
    rows = [asdict(line) for line in pay.lines]
    output.show_rows([{name: row[name] for name in columns} for row in rows], f"Pay in {unit}")
    from consensus.core.people.pay import totals  # noqa: PLC0415

    added = totals(pay.lines)
    output.show_rows([{"annotator": name, "amount": amount} for name, amount in added.items()], "Totals")
    _say(f"{_sum(pay)} {unit} in all")


def _pay_json(pay: "Payroll", summary: "Row") -> str:
    from consensus.core.people.pay import totals  # noqa: PLC0415

    content = {
        **summary,
        "lines": [asdict(line) for line in pay.lines],
        "totals": totals(pay.lines),
        "total": _sum(pay),
        "notes": pay.notes,
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _sum(pay: "Payroll") -> int:
    return sum(line.amount for line in pay.lines)


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    try:
        write_whole(path, text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def _day(option: str, text: str) -> date:
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ConfigError(f"{option} is {text!r}, which is no day; write it as in 2026-01-31")


def _today() -> date:
    return datetime.now(UTC).date()


def _interval(row: Mapping[str, Any]) -> str:
    low, high = row["trust_low"], row["trust_high"]
    return "not known" if low is None or high is None else f"{low:.2f} to {high:.2f}"


def _gold(row: "Row") -> str:
    if not row["gold_answered"]:
        return "not asked" if row["gold_answered"] == 0 else "not known"
    low, high = row["gold_low"], row["gold_high"]
    return f"{row['gold_right']} of {row['gold_answered']} ({low:.2f} to {high:.2f})"


def _seconds(row: "Row") -> str:
    own, of_others = (None if row[name] is None else f"{row[name]:.1f}" for name in ("seconds", "others_seconds"))
    return "not known" if own is None else f"{own} ({of_others or 'not known'})"


def _accepted(row: "Row") -> str:
    if not row["suggested"]:
        return "began from none"
    gone = row["suggested"] - row["compared"]
    return f"{row['accepted']} of {row['compared']}" + (f", {gone} cannot be compared" if gone else "")


def _kinds(row: "Row") -> str:
    if row["suspicions"] is None:
        return "not looked for"
    return ", ".join(suspicion["kind"] for suspicion in row["suspicions"]) or "none"


def _digits(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3f}"


def _shown(value: object) -> object:
    return "not known" if value is None else value


def _say(line: str) -> None:
    output.OUT.print(line)


def _print_csv(rows: "Sequence[Row]", columns: Sequence[str]) -> None:
    emit(csv_text(rows, columns))

"""`consensus suggestions` and `consensus accept`: what the model suggests, and taking it over."""

import json
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.console import agreed, emit
from common.contract import LEFT_OUT
from consensus.commands import output
from consensus.commands.connections import show_tabs_after, store, studio
from consensus.commands.options import ConfigOption, ProjectOption
from consensus.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consensus.assist.accept import GroupOffer, Offer, Request
    from consensus.assist.batches import Performed
    from consensus.assist.proposals import ProposalOffer
    from consensus.assist.suggestions import Suggested, Suggestion
    from consensus.core.assist.expected import Expectation
    from consensus.label_studio import Studio
    from consensus.store.store import Store

SAMPLE = 5
SUGGESTION_COLUMNS = ("task", "control", "label", "score", "version", "annotated")
LabelOption = Annotated[str | None, typer.Option("--label", help="Of this label only.")]
ControlOption = Annotated[str | None, typer.Option("--control", help="Of this control only.")]
VersionOption = Annotated[
    str | None, typer.Option("--version", help="Of this model version; that which annotators see by default.")
]


def suggestions(
    project: ProjectOption,
    label: LabelOption = None,
    control: ControlOption = None,
    version: VersionOption = None,
    min_score: Annotated[float, typer.Option("--min-score", min=0, max=1, help="With at least this score.")] = 0.0,
    annotated: Annotated[
        bool, typer.Option("--annotated", help="Also on tasks that somebody has annotated, after the others.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", min=1, help="So many, the surest; all by default.")
    ] = None,
    form: Annotated[output.Format, typer.Option("--format", help="How to print them.")] = "table",
    config: ConfigOption = None,
) -> None:
    """List what the model suggests for tasks that nobody has annotated, in descending confidence."""
    from consensus.assist.accept import Request, check_names  # noqa: PLC0415  # --help needs none of it

    with closing(studio()) as label_studio:
        suggested = read(label_studio, store(), project, config, version, quiet=form != "table")
    tags = (each.control.tag for each in suggested.votes.controls)
    check_names({tag.name: tag.labels for tag in tags}, project, Request(label=label, control=control))
    rows = [
        each
        for each in suggested.suggestions
        if (annotated or each.is_open)
        and each.score >= min_score
        and label in (None, *each.labels)
        and control in (None, each.control)
    ]
    rows.sort(key=lambda each: (not each.is_open, -each.score, each.task, each.control))
    output.print_rows([_suggestion_row(each) for each in rows[:limit]], SUGGESTION_COLUMNS, form)


def accept(
    project: ProjectOption,
    take_suggestions: Annotated[bool, typer.Option("--suggestions", help="What the model suggests.")] = False,
    take_proposals: Annotated[
        bool,
        typer.Option("--proposals", help="For given labels in MisClassified the label that the votes prefer."),
    ] = False,
    task: Annotated[
        list[int] | None, typer.Option("--task", min=1, help="Of this task only; may be repeated.")
    ] = None,
    label: LabelOption = None,
    control: ControlOption = None,
    above: Annotated[
        float | None, typer.Option("--above", help="With a greater score than this, or, of proposals, posterior.")
    ] = None,
    target_precision: Annotated[
        float | None,
        typer.Option(
            "--target-precision", help="Those for which the data promise this precision, label by label."
        ),
    ] = None,
    version: VersionOption = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="So many, the surest.")] = None,
    audit_share: Annotated[
        float,
        typer.Option("--audit-share", min=0, max=1, help="Share that one more person judges blind."),
    ] = 0.05,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what to expect; send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to go on.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object; needs --yes or --dry-run.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Accept suggestions of the model, or the labels that the votes prefer to given ones.

    Shows first how many, what share of them is expected to be wrong, on what grounds, and a sample. Accepted
    suggestions are annotations of the account consensus@machine.invalid, which never votes and teaches nothing;
    what a person has annotated is never written to. Accepted proposals are ground truth of your account that
    settles the label and teaches nothing. `consensus undo` takes either back. Exits with 3 where something was
    left.
    """
    if take_suggestions == take_proposals:
        raise ConfigError("say what to accept: --suggestions or --proposals")
    if as_json and not (yes or dry_run):
        raise ConfigError("--json asks nothing; add --yes, or --dry-run to see what would be accepted")
    from consensus.assist.accept import Request  # noqa: PLC0415  # --help needs none of it

    request = Request(tuple(task or ()), label, control, above, target_precision, limit, audit_share)
    opened = store()
    with closing(studio()) as label_studio:
        work = _Acceptance(label_studio, opened, project, request, quiet=as_json)
        if not dry_run:
            work.resume()
        if take_suggestions:
            work.offer_suggestions(config, version)
        else:
            work.offer_proposals()
        if not as_json:
            work.show_offer()
        if not dry_run and work.size and (yes or agreed("Accept them?")):
            work.do(config)
            show_tabs_after(label_studio, opened, project)
    if as_json:
        emit(json.dumps(work.json(dry_run=dry_run), ensure_ascii=False) + "\n")
    else:
        work.show_done(dry_run=dry_run)
    if any(each.left for each in work.performed):
        raise typer.Exit(LEFT_OUT)


class _Acceptance:
    """One call of `consensus accept`: what is offered, and what was done."""

    def __init__(self, studio: "Studio", store: "Store", project: int, request: "Request", *, quiet: bool) -> None:
        self._studio, self._store, self._project = studio, store, project
        self._request, self._quiet = request, quiet
        self._offer: Offer | None = None
        self._proposals: ProposalOffer | None = None
        self.performed: list[Performed] = []

    @property
    def size(self) -> int:
        """How many would be accepted."""
        if self._offer:
            return len(self._offer.chosen)
        return len(self._proposals.proposals) if self._proposals else 0

    def resume(self) -> None:
        """Go on with what was cut off."""
        from consensus.assist.batches import resume  # noqa: PLC0415  # brings the SDK

        with output.progress_shown(quiet=self._quiet) as progress:
            self.performed += resume(self._studio, self._store, self._project, _now, progress)

    def offer_suggestions(self, config: Path | None, version: str | None) -> None:
        """Choose suggestions."""
        from consensus.assist.accept import offer  # noqa: PLC0415  # brings the SDK

        self._request.check()
        suggested = read(self._studio, self._store, self._project, config, version, quiet=self._quiet)
        self._offer = offer(suggested, self._request)

    def offer_proposals(self) -> None:
        """Choose proposals."""
        from consensus.assist.proposals import offer_proposals  # noqa: PLC0415  # brings the SDK

        self._proposals = offer_proposals(self._store, self._project, self._request)

    def do(self, config: Path | None) -> None:
        """Accept what was offered."""
        from consensus.assist.accept import accept as accept_suggestions  # noqa: PLC0415  # brings the SDK
        from consensus.assist.proposals import accept_proposals  # noqa: PLC0415
        from consensus.settings import project_config, settings  # noqa: PLC0415

        with output.progress_shown(quiet=self._quiet) as progress:
            if self._offer:
                _, by = self._studio.client.own_account()
                made = accept_suggestions(self._studio, self._store, self._offer, by, _now, progress)
            elif self._proposals:
                chosen = project_config(config or settings().consensus_config, self._project)
                made = accept_proposals(
                    self._studio, self._store, self._project, self._proposals, chosen, _now, progress
                )
            self.performed += [made] if made else []

    def show_offer(self) -> None:
        """Print it for a person."""
        if self._offer:
            show_offer(self._offer)
        elif self._proposals:
            _show_proposals(self._proposals)

    def show_done(self, *, dry_run: bool) -> None:
        """Print what was done for a person."""
        for each in self.performed:
            show_performed(each)
        if dry_run:
            output.OUT.print("Dry run, nothing sent.")
        elif not self.size:
            output.OUT.print("Nothing to accept.")

    def json(self, *, dry_run: bool) -> dict[str, Any]:
        """Lay it out for a program."""
        if self._offer:
            offered = offer_json(self._offer)
        else:
            offered = proposals_json(self._proposals) if self._proposals else {}
        batches = [performed_json(each) for each in self.performed]
        return {"project": self._project, "dry_run": dry_run, **offered, "batches": batches}


def read(
    label_studio: "Studio", opened: "Store", project: int, config: Path | None, version: str | None, *, quiet: bool
) -> "Suggested":
    """Read a project's suggestions."""
    from consensus.assist.suggestions import read_suggestions  # noqa: PLC0415  # brings the SDK
    from consensus.settings import project_config, settings  # noqa: PLC0415

    chosen = project_config(config or settings().consensus_config, project)
    with output.progress_shown(quiet=quiet) as progress:
        return read_suggestions(label_studio, opened, chosen, project, _now(), version=version, progress=progress)


def offer_json(offer: "Offer") -> dict[str, Any]:
    """Return an offer as JSON holds it."""
    return {
        "version": offer.suggested.version,
        "accepted": len(offer.chosen),
        "audited": len(offer.audits),
        "expected": expectation_json(offer.expected),
        "expected_wrong_by_gold": offer.conformal,
        "labels": [
            {
                **{name: value for name, value in asdict(group).items() if name != "expected"},
                "expected": expectation_json(group.expected),
            }
            for group in offer.groups
        ],
        "sample": [_suggestion_row(each) for each in sample_of(offer.chosen)],
    }


def proposals_json(offer: "ProposalOffer") -> dict[str, Any]:
    """Return proposals as JSON holds them."""
    return {
        "accepted": len(offer.proposals),
        "expected": {"wrong": offer.wrong, "lower": offer.lower, "upper": offer.upper},
        "proposals": [asdict(each) for each in offer.proposals],
    }


def expectation_json(expected: "Expectation") -> dict[str, Any]:
    """Return an expectation as JSON holds it."""
    return {**asdict(expected), "share": expected.share if expected.n else None}


def performed_json(performed: "Performed") -> dict[str, Any]:
    """Return what was written as JSON holds it."""
    return {
        "batch": performed.batch["id"],
        "kind": performed.batch["kind"],
        "counts": dict(performed.counts),
        "left": [{name: item[name] for name in ("task", "control", "note")} for item in performed.left],
    }


def show_performed(performed: "Performed") -> None:
    """Print what was written for a person."""
    number = performed.batch["id"]
    line = f"batch {number}: {performed.counts.get('written', 0)} written, {len(performed.left)} left"
    output.OUT.print(f"{line}; `consensus undo {number}` takes it back")
    for item in performed.left[: output.PROBLEMS_SHOWN]:
        output.ERR.print(f"left: task {item['task']}: {item['note']}", style="yellow")
    if len(performed.left) > output.PROBLEMS_SHOWN:
        more = f"... and {len(performed.left) - output.PROBLEMS_SHOWN} more left"
        output.ERR.print(more, style="yellow")


def show_offer(offer: "Offer") -> None:
    """Print what would be accepted for a person, and what to expect of it."""
    output.show_rows([_group_row(group) for group in offer.groups], f"Suggestions of {offer.suggested.version}")
    for group in offer.groups:
        if group.reason:
            line = f"not promised: {group.control}: {' + '.join(group.labels)}: {group.reason}"
            output.ERR.print(line, style="yellow")
    for names in sorted({group.together for group in offer.groups if group.together and group.accepted}):
        line = f"promised as a whole, not each alone: {', '.join(names)}"
        output.OUT.print(line)
    output.OUT.print(f"{len(offer.chosen)} would be accepted, {len(offer.audits)} of them judged blind by people")
    if offer.chosen:
        output.OUT.print(_expected(offer.expected))
        if offer.conformal is not None:
            line = (
                f"by the gold tasks, if they were drawn at random: {offer.conformal:.1%} at most, in expectation"
            )
            output.OUT.print(line)
        output.show_rows([_suggestion_row(each) for each in sample_of(offer.chosen)], "A sample")


def sample_of(chosen: "Sequence[Suggestion]") -> "list[Suggestion]":
    """Return some of them, from the surest to the least sure."""
    step = max((len(chosen) - 1) / max(SAMPLE - 1, 1), 1)
    return [chosen[round(place * step)] for place in range(min(SAMPLE, len(chosen)))]


def _expected(expected: "Expectation") -> str:
    if not expected.n:
        return (
            "What share of them is wrong nobody can tell: no suggestion like them was made before people had "
            "judged its task"
        )
    by_votes = expected.n - expected.decided
    return (
        f"expected wrong: {expected.share:.1%} (95 % interval {expected.lower:.1%} to {expected.upper:.1%}), from "
        f"{expected.n} suggestions that were made before people judged their task: {expected.decided} decided, "
        f"{by_votes} by what the votes are believed to say"
    )


def _group_row(group: "GroupOffer") -> dict[str, Any]:
    expected = group.expected
    return {
        "control": group.control,
        "label": " + ".join(group.labels),
        "open": group.suggestions,
        "accepted": group.accepted,
        "from score": "-" if group.above is None else f"{group.above:.3f}",
        "judged": expected.n,
        "wrong": f"{expected.share:.1%}" if expected.n else "?",
        "95 % interval": f"{expected.lower:.1%} - {expected.upper:.1%}",
    }


def _show_proposals(offer: "ProposalOffer") -> None:
    rows = [{**asdict(each), "labels": " + ".join(each.labels)} for each in offer.proposals]
    output.show_rows(rows[: 4 * SAMPLE], "Labels that the votes prefer to the given ones")
    if len(rows) > 4 * SAMPLE:
        output.OUT.print(f"... and {len(rows) - 4 * SAMPLE} more; --json prints all")
    if rows:
        line = (
            f"{len(rows)} would become ground truth; expected wrong by their own posteriors: {offer.wrong:.1f} "
            f"({offer.lower:.1%} to {offer.upper:.1%})"
        )
        output.OUT.print(line)


def _suggestion_row(suggestion: "Suggestion") -> dict[str, Any]:
    return {
        "task": suggestion.task,
        "control": suggestion.control,
        "label": " + ".join(suggestion.labels),
        "score": round(suggestion.score, 6),
        "version": suggestion.version,
        "annotated": suggestion.annotated,
    }


def _now() -> datetime:
    return datetime.now(UTC)

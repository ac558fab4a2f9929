"""`consensus score`: from files to a file."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from common.console import note
from common.contract import REPORT_NAMES, UNDECIDED
from common.files import check_outputs
from consensus.commands import output
from consensus.core.decide.policy_names import PolicyName
from consensus.errors import ConfigError


def score(
    votes: Annotated[
        Path, typer.Argument(help="Columns task,annotator,label, or task,label,annotator,vote (yes, no, unsure).")
    ],
    out: Annotated[Path, typer.Option("--out", help="File for the result.")],
    given: Annotated[
        Path | None, typer.Option("--given", help="task,label and optionally given (1 or 0).")
    ] = None,
    trust: Annotated[
        Path | None,
        typer.Option("--trust", help="annotator,trust: trust set by hand, from 0 to 1; for label-ai also above."),
    ] = None,
    policy: Annotated[PolicyName, typer.Option("--policy", help="How votes become a confidence.")] = "default",
    annotators: Annotated[
        Path | None, typer.Option("--annotators", help="File for the annotators' votes and trust.")
    ] = None,
    choice: Annotated[
        Literal["single", "multiple"],
        typer.Option(
            "--choice", help="How many labels an annotator may choose, where the columns are task,annotator,label."
        ),
    ] = "single",
    gold: Annotated[
        Path | None,
        typer.Option("--gold", help="task,label and optionally right (1 or 0): known truth, which teaches trust."),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option("--guarantee", help="Share of a report that may be wrong, as in 0.05; --gold sees to it."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", help="task,label,score (0 to 1): a model's suggestions, to join as one more voter."
        ),
    ] = None,
    all_labels: Annotated[
        bool,
        typer.Option(
            "--all-labels",
            help="A row for every label of a task, also for those that nobody chose and that are not listed.",
        ),
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state", help="File of what was learned (.npz): the next run starts from it. Made if not there."
        ),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option("--engine", help="Where votes are worked on that are in parts.")
    ] = "local",
    memory: Annotated[
        float | None,
        typer.Option(
            "--memory",
            min=0.1,
            max=1e6,
            help="GB to take; half of the machine's by default. Votes that need more are scored in parts.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, max=1024, help="Processors that read; all of them by default."),
    ] = None,
) -> None:
    """Score a votes file; no Label Studio is needed.

    Files are CSV, CSV with gzip (.gz), JSON (.json, .jsonl) or Parquet (.parquet) by extension, or folders of
    Parquet files; votes also as Label Studio, crowd-kit, Toloka, Mechanical Turk, Prodigy, peerannot and cleanlab
    write them. They may be larger than memory; --engine ray spreads them over a Ray cluster. Of repeated votes the
    last one counts. The result has a row per task and label that somebody chose (or voted yes, no or unsure on) or
    that is listed in
    --given, with the columns task, label, given, yes, no, unsure, confidence, posterior and report.

    How votes become a posterior: of each annotator a confusion matrix is learned by expectation-maximisation
    (Dawid and Skene 1979), drawn towards the annotator's own accuracy, and that towards everybody's. For one label
    of k, let L be the sum over the n votes on a task of the logarithms of how probable they are if the label is
    right, r the learned correlation of mistakes, and w an annotator's trust over the average vote's. The posterior
    is the mean of A, proportional to exp(L / (1 + (n - 1) r)) times the root of the label's prevalence, and
    B = (w of the votes for it + e/k) / (w of all votes + e), where e, at most 1, is learned from how often votes
    that agree are contradicted by a further one. The confidence is the lower bound of the posterior's
    Wilson interval (z = 1.96); from 0.80 on a label is confirmed. docs/method.md has all formulas with their
    sources, and the other policies.

    Labels of --given are evidence beside the crowd's, as far as both prove right where they contradict each other;
    where fewer than 50 of them have two votes, they are one more voter, who weighs at most as much as the average
    annotator.

    With --model a model's suggestions join as one more voter, as far as they agree with people and no further than
    the average annotator; they must be for tasks that the model was not trained on. The column model_share says
    how much they weigh.

    With --guarantee the tasks of --gold, which must be drawn at random, do not teach: they decide what
    AllConfirmed, Discovered and MisClassified hold, so that, on average over the draw, at most that share of each
    is wrong: docs/guarantee.md.
    """
    from consensus.files.score_files import Inputs, score_files  # noqa: PLC0415 - --help needs none of it
    from consensus.files.tables import Limits  # noqa: PLC0415

    check_outputs(
        {"--out": out, "--annotators": annotators, "--state": state},
        {"the votes": votes, "--given": given, "--trust": trust, "--gold": gold, "--model": model},
    )
    if share is not None:
        _check_guarantee(share, gold)
    inputs = Inputs(votes, given, trust, gold, model, state, choice, policy, share, all_labels)
    limits = Limits.of_machine(int(memory * 1e9) if memory else None, threads)
    with output.progress_shown() as progress:
        outcome = score_files(inputs, out, annotators, engine=engine, limits=limits, progress=progress)
    for line in outcome.notes:
        note(line)
    output.OUT.print(
        f"{outcome.votes} votes of {outcome.annotators} annotators on {outcome.tasks} tasks "
        f"({outcome.replaced} replaced by a later vote of the same annotator)"
    )
    if outcome.unused_trust:
        output.OUT.print(f"{outcome.unused_trust} annotators of {trust} have no vote; their trust has no effect")
    for line in outcome.lines:
        output.OUT.print(line)
    reports = [name for name in REPORT_NAMES if name != UNDECIDED]
    output.OUT.print(", ".join(f"{name} {outcome.reports.get(name, 0)}" for name in reports))
    output.OUT.print(f"{sum(outcome.reports.values())} classifications written to {out}")


def _check_guarantee(share: float, gold: Path | None) -> None:
    from consensus.core.guarantee.conformal import check_alpha  # noqa: PLC0415

    check_alpha(share)
    if gold is None:
        raise ConfigError("--guarantee needs --gold: tasks drawn at random whose truth is known")

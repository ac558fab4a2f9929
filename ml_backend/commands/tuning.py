"""``ml-backend finetune`` and ``ml-backend pretrain``."""

from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from common.console import console as new_console
from common.console import error_console, say
from common.progress import bar_columns, shown_on
from ml_backend.commands.console import ProjectOption, number
from ml_backend.errors import NothingToLearnError

if TYPE_CHECKING:
    from ml_backend.core.finetune.loop import Step
    from ml_backend.finetune.options import TuningRequest
    from ml_backend.finetune.tuner import TuningResult
    from ml_backend.settings import Settings

Epochs = Annotated[int | None, typer.Option(min=1, help="Times that every image is learned from.")]
ImageSize = Annotated[
    int | None, typer.Option(min=32, max=1024, help="Pixels of the views. [224 on a graphics processor, else 128]")
]
BatchSize = Annotated[int | None, typer.Option(min=2, help="Images a step.")]
LearningRate = Annotated[float | None, typer.Option(min=1e-8, max=1.0, help="Of AdamW, at its highest.")]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="imagenet, random, a state dict, or the id of weights made here. \\[what the project uses]",
    ),
]
MaxImages = Annotated[int | None, typer.Option(min=8, help="Images at most; each takes 0.2 MB of disk. [20000]")]
AnyWayUp = Annotated[
    bool | None, typer.Option("--any-way-up", help="Images have no upper side: turn them, too (microscopes).")
]
Resume = Annotated[
    bool | None,
    typer.Option("--resume/--restart", help="Go on with what has not ended, or begin anew. \\[if options agree]"),
]


def finetune(
    project: ProjectOption,
    epochs: Epochs = None,
    image_size: ImageSize = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    layer_decay: Annotated[
        float | None, typer.Option(min=0.01, max=1.0, help="Learning rate of a stage by that of the next.")
    ] = None,
    frozen: Annotated[int | None, typer.Option(min=0, max=4, help="Stages that learn nothing. [0]")] = None,
    base: From = None,
    max_images: MaxImages = None,
    any_way_up: AnyWayUp = None,
    resume: Resume = None,
    undo: Annotated[bool, typer.Option("--undo", help="Go back to the configured weights, and end.")] = False,
    use: Annotated[str | None, typer.Option(help="Take weights made here, by their id, and end.")] = None,
) -> None:
    """Let the backbone learn a project's labels; a fifth of the tasks is held out and judges the result."""
    from ml_backend.settings import get_settings  # noqa: PLC0415 - --help needs none of it

    if undo and use is not None:
        raise typer.BadParameter("--undo goes back to the configured weights, --use takes others: give one")
    if undo or use is not None:  # an empty one is a variable that was not set, and begins no fine-tuning
        _point(project, get_settings(), use)
        return
    _tune(
        "finetune",
        project,
        base,
        resume=resume,
        epochs=epochs,
        image_size=image_size,
        batch_size=batch_size,
        learning_rate=learning_rate,
        layer_decay=layer_decay,
        frozen=frozen,
        max_images=max_images,
        upright=False if any_way_up else None,
    )


def pretrain(
    project: ProjectOption,
    epochs: Epochs = None,
    image_size: ImageSize = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    base: From = None,
    max_images: MaxImages = None,
    any_way_up: AnyWayUp = None,
    resume: Resume = None,
) -> None:
    """Let the backbone learn from a project's images without labels, for images unlike ImageNet's (VICReg)."""
    _tune(
        "pretrain",
        project,
        base,
        resume=resume,
        epochs=epochs,
        image_size=image_size,
        batch_size=batch_size,
        learning_rate=learning_rate,
        max_images=max_images,
        upright=False if any_way_up else None,
    )


def _tune(  # a keyword for each option that was given
    how: str, project: int, base: str | None, *, resume: bool | None, **options: float | None
) -> None:
    import torch  # noqa: F401, PLC0415 - whoever lacks it hears so now, not once all images are there

    from ml_backend.finetune.options import TuningRequest  # noqa: PLC0415 - --help needs none of it
    from ml_backend.settings import get_settings  # noqa: PLC0415

    request = TuningRequest(how, {name: value for name, value in options.items() if value is not None}, base)
    settings = get_settings()
    try:
        _run(
            project,
            request,
            resume,
            settings.model_copy(update={"torch_threads": settings.training_torch_threads}),
        )
    except NothingToLearnError as error:
        say(f"Nothing to learn: {error}. Nothing was changed.")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        say(f"Stopped. ml-backend {how} --project {project} --resume goes on from the last checkpoint.")
        raise typer.Exit(130) from None


def _run(project: int, request: "TuningRequest", resume: bool | None, settings: "Settings") -> None:  # noqa: FBT001
    from ml_backend.backend import Backend  # noqa: PLC0415 - --help needs none of it
    from ml_backend.finetune.tuner import Tuner  # noqa: PLC0415

    backend = Backend(settings)
    errors = error_console()
    columns = bar_columns(TimeElapsedColumn(), TimeRemainingColumn())
    try:
        with shown_on(errors, *columns, first="starting") as progress:

            def shown(step: "Step") -> None:
                progress(_sentence(step), step.number, step.steps)
                if step.ends_epoch and not errors.is_terminal:
                    say(_sentence(step))

            tuner = Tuner(backend.trainer, backend.fetcher.fetch, progress, shown)
            result = tuner.tune(project, request, resume=resume, now=datetime.now(UTC))
    finally:
        backend.close()
    _report(project, result)


def _sentence(step: "Step") -> str:
    validation = "" if step.validation is None else f", validation {step.validation:.3f} (best: epoch {step.best})"
    return f"epoch {step.epoch} ({step.number} of {step.steps} steps): loss {step.loss:.3f}{validation}"


def _report(project: int, result: "TuningResult") -> None:
    console, tuned, judgement = new_console(), result.tuned, result.judgement
    console.print(f"weights {tuned.weights_id} of {tuned.backbone}, from {tuned.base}")
    if judgement.figures:
        table = Table("control", "held-out tasks", "right before", "right after")
        for figure in judgement.figures:
            table.add_row(figure.control, str(figure.tasks), number(figure.before), number(figure.after))
        console.print_table(table)
    for reason, count in result.failures.items():
        console.print(f"{count} images left out: {reason}")
    if not result.used:
        untold = judgement.better is None
        why = "No held-out task could judge them" if untold else "They are no better on held-out tasks"
        say(
            f"{why}, so they are not used; "
            f"ml-backend finetune --project {project} --use {tuned.weights_id} uses them all the same."
        )
        return
    left = max(result.n_images - judgement.embedded, 0)
    pace = judgement.seconds_an_image
    duration = "" if pace is None else f", which takes about {left * pace / 60:.0f} minutes"
    say(
        f"Project {project} uses them from its next training on (ml-backend train --project {project}). "
        f"{left} of its {result.n_images} images will be embedded anew{duration}."
    )


def _point(project: int, settings: "Settings", weights_id: str | None) -> None:
    """Let a project use weights that were made here, or the configured ones."""
    from ml_backend.embedding.tuned import TunedWeights  # noqa: PLC0415 - --help needs none of it

    weights = TunedWeights(settings.data_dir)
    if weights_id is not None:
        weights.use(project, weights.read(weights_id), _stamp(project, settings))
        say(f"Project {project} uses the weights {weights_id} from its next training on.")
    elif weights.undo(project):
        say(f"Project {project} uses the configured weights again from its next training on.")
    else:
        say(f"Project {project} uses the configured weights already.")


def _stamp(project: int, settings: "Settings") -> str:
    """Ask Label Studio when a project was made; empty where no Label Studio is configured."""
    if settings.missing:
        return ""
    from ml_backend.label_studio.client import LabelStudioClient  # noqa: PLC0415 - --help needs none of it

    with closing(LabelStudioClient(settings)) as client:
        return client.project(project).stamp

"""`consensus export`: the dataset as it is now believed."""

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from common.console import emit
from common.contract import LEFT_OUT
from consensus.commands import output
from consensus.commands.connections import store, studio
from consensus.commands.options import ConfigOption, ProjectOption
from consensus.core.dataset.option_names import Layout, Link, Only
from consensus.errors import ConfigError

TIMEOUT_S = 60.0
"""For one image."""


def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to be made; it may be there and empty.")],
    project: ProjectOption,
    layout: Annotated[Layout, typer.Option("--layout", help="How the dataset is laid out.")] = "folders",
    control: Annotated[
        str | None, typer.Option("--control", help="Labels of this control; needed where there are several.")
    ] = None,
    only: Annotated[Only | None, typer.Option("--only", help="Only such labels.")] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option("--min-confidence", min=0, max=1, help="Only labels with at least this confidence."),
    ] = None,
    keep_doubtful: Annotated[
        bool,
        typer.Option("--keep-doubtful", help="Where no label holds, keep the one that the evidence prefers."),
    ] = False,
    copy_images: Annotated[
        bool, typer.Option("--copy-images", help="Put the images into the folder where the layout would not.")
    ] = False,
    link: Annotated[
        Link | None, typer.Option("--link", help="Link images that lie in --images, and do not copy them.")
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            help="The folder that was imported: an image is taken from there if it is the same as it was.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    image_hosts: Annotated[
        str,
        typer.Option(
            "--image-hosts",
            help="Hosts besides Label Studio from which images are fetched; * is any with a public address.",
        ),
    ] = "*",
    config: ConfigOption = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace what an earlier export made.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write the dataset as it is now believed: with confidence, votes, and who decided, for each label.

    A decision that stands wins. Else a label holds that the votes of the last run confirm (AllConfirmed and
    Discovered), and the label that a task came with is kept unless they call it wrong (MisClassified). README.md
    has counts and method, left-out.csv lists what is not in the dataset, with the reason.

    folders: a folder a label, and labels.csv. csv, jsonl, parquet: a table of labels, with paths or addresses of
    the images. coco: annotations.json. imagefolder: as `datasets` of Hugging Face loads it. OUT appears when all
    of it is there. The same state gives the same bytes. docs/export.md has the rules and columns.
    Exits with 3 where images could not be had, with 1 where nothing was written.
    """
    from common.images.addresses import AllowedHosts  # noqa: PLC0415 - --help needs none of it
    from common.images.fetch import Fetcher  # noqa: PLC0415
    from consensus.core.dataset.choosing import Choosing  # noqa: PLC0415
    from consensus.settings import project_config, settings  # noqa: PLC0415
    from consensus.transfer.export import Request, write_dataset  # noqa: PLC0415
    from consensus.transfer.export_images import LARGEST_IMAGE, ImageSource  # noqa: PLC0415
    from consensus.transfer.export_readme import command  # noqa: PLC0415

    if link and not images:
        raise ConfigError("--link links what lies in the folder that was imported; name that with --images")
    if images and images.resolve().is_relative_to(out.resolve()):
        raise ConfigError(f"--images {images} lies in {out}, which is to be written; name another folder")
    try:
        hosts = AllowedHosts.parse(image_hosts)
    except ValueError as error:
        raise ConfigError(f"--image-hosts: {error}") from None
    options: dict[str, Any] = {
        "--project": project,
        "--layout": layout,
        "--control": control,
        "--only": only,
        "--min-confidence": min_confidence,
        "--keep-doubtful": keep_doubtful,
        "--copy-images": copy_images,
        "--link": link,
        "--images": images,
        "--image-hosts": None if image_hosts == "*" else image_hosts,
    }
    request = Request(
        project,
        layout,
        command(options),
        control,
        Choosing(only, min_confidence, keep_doubtful),
        copy_images,
        link,
    )
    with closing(studio()) as label_studio, output.progress_shown(quiet=as_json) as progress:
        fetcher = Fetcher(
            base_url=label_studio.client.url,
            authorization=label_studio.client.authorization,
            max_bytes=LARGEST_IMAGE,
            timeout_s=TIMEOUT_S,
            hosts=hosts,
        )
        with closing(fetcher):
            exported = write_dataset(
                label_studio,
                store(),
                ImageSource(fetcher, images),
                request,
                out,
                now=datetime.now(UTC),
                config=project_config(config or settings().consensus_config, project),
                replace=replace,
                progress=progress,
            )
    summary = exported.summary
    if as_json:
        emit(json.dumps(summary, ensure_ascii=False) + "\n")
    else:
        _show(summary, out)
    if exported.failures:
        raise typer.Exit(LEFT_OUT)


def _show(summary: dict[str, Any], out: Path) -> None:
    bases = ", ".join(f"{name} {count}" for name, count in summary["decided_by"].items())
    output.OUT.print(f"{summary['labels']} labels of {summary['tasks']} tasks written to {out}: {bases or 'none'}")
    output.OUT.print(f"{summary['changed']} are another label than the given one")
    for kind, count in summary["left_out"].items():
        output.ERR.print(f"left out: {count}: {kind}", style="yellow")

"""The dataset as it is now believed, to take away: what `consensus export` writes, without images."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

from flask import Response, g, redirect, request, send_file, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, NotFound

from consensus.console.access import Role, needs
from consensus.console.desk import console
from consensus.console.importing import setup_pages
from consensus.core.dataset.choosing import Choosing
from consensus.core.dataset.option_names import Layout
from consensus.serving.service import service, snapshot_of
from consensus.transfer.export import Request, write_dataset
from consensus.transfer.export_images import ImageSource
from consensus.transfer.export_layouts import WITH_IMAGES
from consensus.transfer.export_readme import command

__all__ = ["setup_pages"]

LAYOUTS: tuple[Layout, ...] = tuple(layout for layout in get_args(Layout) if layout not in WITH_IMAGES)


@setup_pages.post("/projects/<int:project>/export")
@needs(Role.ADMIN)
def export(project: int) -> ResponseReturnValue:
    """Let a dataset be written, behind the page."""
    here, desk = service(), console()
    with snapshot_of(here, project) as snapshot:
        controls = [str(row["control"]) for row in snapshot.controls(project)]
    layout = next((each for each in LAYOUTS if each == request.form.get("layout")), None)
    control, keep_doubtful = request.form.get("control"), "keep_doubtful" in request.form
    if layout is None or control not in controls:
        raise BadRequest(f"an export is of {', '.join(LAYOUTS)}, and of a control: {', '.join(controls)}")
    options = {"--project": project, "--layout": layout, "--control": control, "--keep-doubtful": keep_doubtful}
    choosing = Choosing(None, None, keep_doubtful)
    asked, name = Request(project, layout, command(options), control, choosing), uuid4().hex

    def make() -> dict[str, Any]:
        summaries = list[dict[str, Any]]()

        def write(folder: Path) -> None:
            with here.studio() as studio:
                made = write_dataset(
                    studio, here.store, ImageSource(desk.pictures.fetcher), asked, folder,
                    now=datetime.now(UTC), config=here.config(project),
                )  # fmt: skip
            summaries.append(made.summary)

        with here.alone("another export", patience_s=-1):
            desk.archives.add(f"{project}-{name}", write)
        return {"export": name, **summaries[0]}

    job = here.background.submit(project, "export", g.member.email, make)
    back = url_for("setup.setup", project=project)
    return redirect(url_for("acting.job", project=project, name=job.id, back=back), 303)


@setup_pages.get("/projects/<int:project>/exports/<name>.zip")
@needs(Role.ADMIN)
def exported(project: int, name: str) -> Response:
    """Send a dataset."""
    path = console().archives.find(f"{project}-{name}")
    if path is None:
        raise NotFound("There is no such dataset any more: export it again.")
    return send_file(path, mimetype="application/zip", as_attachment=True, download_name=f"dataset-{project}.zip")

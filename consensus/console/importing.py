"""Images with labels into a project: choose what is in the folder of datasets, see what would come, and let it."""

from contextlib import closing

from flask import Response, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage

from common.console import csv_text
from common.errors import SuiteError
from consensus.console.access import Role, needs
from consensus.console.desk import console
from consensus.console.import_form import LABELS, LAYOUTS, NESTED, ImportForm, in_words_of_the_form
from consensus.console.import_jobs import IMPORT
from consensus.console.pages import page
from consensus.console.people import csv_file
from consensus.console.setup import setup_pages
from consensus.serving.service import service
from consensus.store.columns import Row

__all__ = ["setup_pages"]

ENTRIES = 50
SOURCE = "entry", "list", "called"
COLUMNS = ("source", "kind", "reason", "labels")


@setup_pages.get("/import")
@setup_pages.get("/projects/<int:project>/import")
@needs(Role.ADMIN)
def choose(project: int | None = None) -> str:
    """List what can be imported; once something is chosen, ask how."""
    jobs, shown, problem = console().imports, None, None
    find, entry = request.args.get("find", "").strip().casefold(), request.args.get("entry")
    if "list" not in request.args:
        try:
            datasets = jobs.datasets
            if datasets and entry is not None:
                datasets.place(entry)
            elif datasets:
                rows = [vars(each) for each in datasets.all() if find in each.name.casefold()]

                def behind(after: Row | None, limit: int) -> list[Row]:
                    return [row for row in rows if after is None or row["name"] > after["name"]][:limit]

                shown = page(("name",), behind, ENTRIES)
        except SuiteError as error:
            problem, entry = str(error), None
    chosen = entry or "list" in request.args
    return render_template(
        "import.html",
        title=console().titles.of(project) if project else "",
        is_on=jobs.is_on,
        shown=shown,
        problem=problem,
        source={name: request.args[name] for name in SOURCE if name in request.args} if chosen else None,
        called=request.args.get("called") or entry,
        at_work=jobs.at_work(project),
        layouts=LAYOUTS,
        nested=NESTED,
        names=LABELS,
    )


@setup_pages.post("/import/list")
@setup_pages.post("/projects/<int:project>/import/list")
@needs(Role.ADMIN)
def send_list(project: int | None = None) -> ResponseReturnValue:
    """Take a list of addresses, and ask how it is to be imported."""
    file = request.files.get("list") or FileStorage()
    name = file.filename or "nothing"
    with closing(file):
        sent = console().imports.sent_lists.add(name, file.read())
    return redirect(url_for("setup.choose", project=project, list=sent, called=name[-100:]), 303)


@setup_pages.post("/import/preview")
@setup_pages.post("/projects/<int:project>/import/preview")
@needs(Role.ADMIN)
def rehearse(project: int | None = None) -> ResponseReturnValue:
    """Let an import be shown, behind the page."""
    return _begun(project, rehearsal=True)


@setup_pages.post("/import/do")
@setup_pages.post("/projects/<int:project>/import/do")
@needs(Role.ADMIN)
def import_(project: int | None = None) -> ResponseReturnValue:
    """Let an import be done, behind the page."""
    return _begun(project, rehearsal=False)


def _begun(project: int | None, *, rehearsal: bool) -> ResponseReturnValue:
    form = ImportForm.read(project, request.args, request.form)
    job = console().imports.begin(form, g.member.email, rehearsal=rehearsal)
    return redirect(url_for("setup.importing", project=project, name=job.id, **form.address), 303)


@setup_pages.get("/import/jobs/<name>")
@setup_pages.get("/projects/<int:project>/import/jobs/<name>")
@needs(Role.ADMIN)
def importing(name: str, project: int | None = None) -> str:
    """Show how far an import is, what it would do, or what it has done."""
    form, there = ImportForm.read(project, request.args, request.args), console().imports.find(project, name)
    if there is None:
        return render_template("import_lost.html", form=form)
    job, pace = there
    with service().store.snapshot() as snapshot:
        made = (job.result or {}).get("project") or project
        has_run = made is not None and snapshot.last_run(made) is not None
        label_studio = snapshot.label_studio(made) if made else None
    return render_template(
        "import_job.html",
        job=job,
        pace=pace,
        form=form,
        is_import=job.kind == IMPORT,
        has_run=has_run,
        label_studio=label_studio,
        in_words=in_words_of_the_form,
    )


@setup_pages.post("/import/jobs/<name>/stop")
@setup_pages.post("/projects/<int:project>/import/jobs/<name>/stop")
@needs(Role.ADMIN)
def stop_import(name: str, project: int | None = None) -> ResponseReturnValue:
    """End an import; the same form goes on."""
    form = ImportForm.read(project, request.args, request.args)
    console().imports.stop(project, name)
    return redirect(url_for("setup.importing", project=project, name=name, **form.address), 303)


@setup_pages.get("/import/left-out/<name>.csv")
@needs(Role.ADMIN)
def left_out(name: str) -> Response:
    """Send what an import left out, and why."""
    rows = (dict(zip(COLUMNS, row, strict=True)) for row in console().imports.left_out(name))
    return csv_file(csv_text(rows, COLUMNS), f"left-out-{name[:8]}.csv")

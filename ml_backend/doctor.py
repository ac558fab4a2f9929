"""Find what goes wrong between Label Studio and this backend, and what helps; nothing is changed."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime

from common.doctor import Diagnosis, Finding, Level, Step, problem, run_checks, warning
from ml_backend.backend import Backend
from ml_backend.diagnosis import (
    backend_checks,
    connection_checks,
    image_checks,
    label_studio_checks,
    task_checks,
    version_checks,
)
from ml_backend.diagnosis.reading import ProjectReader, read_backend, read_label_studio
from ml_backend.diagnosis.replies import client
from ml_backend.diagnosis.state import BackendState
from ml_backend.errors import LabelStudioError, RefusedError
from ml_backend.label_studio.client import LabelStudioClient
from ml_backend.settings import Settings
from ml_backend.training.forgetting import gone, kept_projects

PROJECT_CHECKS = connection_checks.CHECKS | version_checks.CHECKS | task_checks.CHECKS | image_checks.CHECKS

_NOT_FOUND = 404


def examine(
    settings: Settings,
    project_ids: Sequence[int] = (),
    *,
    images: int = 5,
    progress: Step = lambda *_: None,
) -> Iterator[Diagnosis]:
    """Go through all checks, and give what each found as soon as it is known.

    Parameters
    ----------
    project_ids : sequence of int
        Empty for all that are connected to this backend.
    images : int
        How many images of each project are fetched.
    progress : callable
        Told the step, how much of it is done, and how much there is.
    """
    with ExitStack() as opened:
        connections = opened.enter_context(client())
        progress("asking Label Studio", 0, 1)
        label_studio = read_label_studio(settings, connections)
        diagnoses = list(
            run_checks("Label Studio", None, label_studio_checks.CHECKS, label_studio, datetime.now(UTC))
        )
        yield from diagnoses
        progress("asking the backend", 0, 1)
        state = read_backend(settings, connections)
        yield from run_checks("this backend", None, backend_checks.CHECKS, state)
        if any(diagnosis.finding.level is Level.PROBLEM for diagnosis in diagnoses):
            return
        admin = LabelStudioClient(settings)
        opened.callback(admin.close)
        backend = Backend(settings)
        opened.callback(backend.close)
        reader = ProjectReader(admin, backend, state, images)
        projects = project_ids or reader.connected(
            lambda done, total: progress("looking for projects", done, total)
        )
        if not project_ids:
            yield from run_checks("this backend", None, {"projects that are gone": _gone}, settings, admin)
        if not projects:
            yield Diagnosis("projects", None, "projects", _no_project(state))
        for number, project_id in enumerate(projects):
            progress(f"project {project_id}", number, len(projects))
            yield from _of_project(reader, project_id)


def _no_project(state: BackendState) -> Finding:
    return warning(
        "no project is connected to this backend",
        "annotators get no suggestions from it, and it learns nothing",
        state.connecting("ID"),
    )


def _gone(settings: Settings, admin: LabelStudioClient) -> Iterator[Finding]:
    if ids := gone(admin, kept_projects(settings.data_dir)):
        named = ", ".join(map(str, ids))
        yield warning(
            f"data of projects are kept that Label Studio does not have, or does not show: {named}",
            "they take room, and another project may get an id after a reset",
            "ml-backend forget --gone",
        )


def _of_project(reader: ProjectReader, project_id: int) -> Iterator[Diagnosis]:
    about = f"project {project_id}"
    try:
        state = reader.read(project_id)
    except LabelStudioError as error:
        missing = isinstance(error, RefusedError) and error.http_status == _NOT_FOUND
        reason = "there is no such project, or the key may not see it" if missing else str(error)
        yield Diagnosis(
            about,
            project_id,
            "project",
            problem(reason, "nothing of it can be checked", "give the id that its address in Label Studio shows"),
        )
        return
    yield from run_checks(f"{about}, {state.project.title}", project_id, PROJECT_CHECKS, state)

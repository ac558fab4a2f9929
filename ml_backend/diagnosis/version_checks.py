"""Checks of the version that answers for a project: whether it is the newest, shown, and has its predictions."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from common.doctor import Finding, fine, problem, warning
from ml_backend.core.versions import is_ours
from ml_backend.diagnosis.replies import moment
from ml_backend.diagnosis.state import ProjectState

_PATIENCE = timedelta(minutes=15)  # for events, quiet time and the training itself


def trained(state: ProjectState) -> Iterator[Finding]:
    """Look whether a version answers, and whether it is the newest."""
    row = state.row
    if row is None or not row.works:
        return
    if state.versions.damage:
        yield problem(
            state.versions.damage,
            f"{state.versions.current} answers instead" if state.versions.current else "nothing is suggested",
            f"ml-backend train --project {state.project.id} makes it good",
        )
    elif not is_ours(row.answers_with):
        if not state.project.annotations and state.backend.zero_shot and state.project.tasks:
            yield warning(
                f"no version yet, with ML_BACKEND_ZERO_SHOT={state.backend.zero_shot}",
                "nothing is suggested by the names of the labels, which takes some minutes after connecting",
                f"ml-backend train --project {state.project.id} makes a version, or says what is missing",
            )
        elif not state.project.annotations:
            yield fine("no version yet: it needs annotations, given labels, or ML_BACKEND_ZERO_SHOT")
        elif state.versions.held_back:
            yield warning(
                f"no version answers, {state.versions.newest} was held back",
                state.versions.held_back,
                f"annotate more, or ml-backend promote {state.versions.newest} --project {state.project.id}",
            )
        else:
            yield warning(
                f"no version yet, with {state.project.annotations} annotations",
                "nothing is suggested until the first training, which begins by itself soon after an annotation",
                f"ml-backend train --project {state.project.id} trains now, or says what is missing",
            )
    elif (
        state.versions.current
        and state.versions.newest != state.versions.current
        and (state.versions.chosen or not state.versions.took_over)
    ):
        yield _not_the_newest(state)
    else:
        yield fine(row.answers_with)


def learning(state: ProjectState) -> Iterator[Finding]:
    """Look whether the latest annotations have led to a training."""
    trained_at = state.versions.newest_at
    times = [
        moment(annotation.get("updated_at"))
        for task in state.annotated
        for annotation in task.get("annotations") or ()
    ]
    latest = max((time for time in times if time), default=None)
    if trained_at and latest and trained_at + _PATIENCE < latest < state.read_at - _PATIENCE:
        yield warning(
            f"annotations of {latest:%Y-%m-%d %H:%M} UTC, the newest version is of {trained_at:%Y-%m-%d %H:%M}",
            "the last training failed, or was never asked for: what was annotated since is not learned",
            f"ml-backend train --project {state.project.id} says what is wrong; so does the backend's log",
        )


def model_version(state: ProjectState) -> Iterator[Finding]:
    """Look whether the project shows the version that answers."""
    row, shown = state.row, state.project.model_version
    if row is None or not row.works or not is_ours(row.answers_with):
        return
    version = row.answers_with
    if not shown:
        yield problem(
            "the project shows no version",
            "annotators see no suggestion, and the score column is empty (deleting predictions can clear it)",
            state.connect,
        )
    elif shown != version:
        yield problem(
            f"the project shows {shown}, {version} answers",
            "annotators see other suggestions or none, and the score column is that version's or empty",
            state.connect,
        )
    elif row.title != version:
        yield problem(
            f"the connection is called {row.title}, {version} answers",
            "a task without a suggestion gets none when it is opened: Label Studio looks for that name",
            state.connect,
        )
    else:
        yield fine(shown)


def suggestions_shown(state: ProjectState) -> Iterator[Finding]:
    """Look whether annotators see predictions at all."""
    if state.row is None:
        return
    if state.project.shows_predictions:
        yield fine("annotators see them")
    else:
        yield problem(
            "Use predictions to prelabel tasks (Settings > Annotation) is off",
            "annotators see no suggestion, whatever the backend answers",
            state.connect,
        )


def predictions(state: ProjectState) -> Iterator[Finding]:
    """Look whether the tasks have predictions of the version that answers."""
    row, total = state.row, state.project.tasks
    if row is None or not row.works or not is_ours(row.answers_with) or not total:
        return
    lacking = total - state.with_version
    remedy = f"ml-backend predict --project {state.project.id}; it lists what cannot be read, and why"
    if lacking <= 0:
        yield fine(f"each of {total} tasks has one of {row.answers_with}")
    elif not state.with_version:
        yield problem(
            f"no task has one of {row.answers_with}",
            "the score column is empty, and each suggestion is made only when its task is opened",
            remedy,
        )
    else:
        yield warning(
            f"{lacking} of {total} tasks lack one of {row.answers_with}",
            "their score is empty; some may have an image that cannot be read, or nothing alike that is annotated",
            remedy,
        )


CHECKS: dict[str, Callable[[ProjectState], Iterator[Finding]]] = {
    "version": trained,
    "learning": learning,
    "version shown": model_version,
    "suggestions": suggestions_shown,
    "predictions": predictions,
}


def _not_the_newest(state: ProjectState) -> Finding:
    versions = state.versions
    project = f"--project {state.project.id}"
    see = (
        f"ml-backend versions {project} compares them; ml-backend promote {versions.newest} {project} lets the "
        "newer one answer"
    )
    if versions.chosen:
        return warning(f"{versions.current} answers, because it was chosen", f"{versions.newest} is newer", see)
    return warning(
        f"{versions.current} answers, {versions.newest} is newer and was held back",
        versions.held_back or "it has not taken over: its training was ended before it could",
        see,
    )

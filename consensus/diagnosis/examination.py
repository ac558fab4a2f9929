"""Go through all checks; nothing is changed, neither in Label Studio nor in the store."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from datetime import datetime
from pathlib import Path

from common.doctor import Diagnosis, Finding, Step, fine, problem, run_checks
from common.errors import SettingsError, SuiteError
from consensus.diagnosis import label_studio_checks, project_checks, store_checks
from consensus.diagnosis.label_studio_checks import Answer
from consensus.diagnosis.project_checks import ProjectState
from consensus.diagnosis.store_checks import StoreState, read_store
from consensus.errors import ConfigError
from consensus.label_studio import Studio
from consensus.settings import project_config
from consensus.store.store import Store


def examine(
    url: str,
    open_studio: Callable[[], Studio],
    store_url: Callable[[], str],
    settings_file: Path | None,
    project_ids: Sequence[int] = (),
    *,
    now: datetime,
    progress: Step = lambda *_: None,
) -> Iterator[Diagnosis]:
    """Go through all checks, and give what each found as soon as it is known.

    Parameters
    ----------
    url : str
        Label Studio's address.
    open_studio, store_url : callable
        May raise SuiteError, which is a finding.
    project_ids : sequence of int
        Empty for all with a control.
    now : datetime
        Aware.
    """
    with ExitStack() as opened:
        progress("the store", 0, 1)
        file_check = {"settings file": _settings_file}
        yield from run_checks("this program", None, file_check, settings_file, project_ids)
        try:
            store_state = read_store(store_url())
        except SuiteError as error:
            store_state = StoreState("the store", error=str(error))
        yield from run_checks("the store", None, store_checks.CHECKS, store_state)
        progress("Label Studio", 0, 1)
        studio, refusal = None, None
        try:
            studio = open_studio()
            opened.callback(studio.close)
            studio.authorize()
        except SuiteError as error:
            refusal = error
        yield from run_checks("Label Studio", None, label_studio_checks.CHECKS, Answer(url, refusal))
        if studio is None or refusal:
            return
        store = Store(store_url()) if store_state.is_usable else None
        ids = project_ids or studio.project_numbers()
        for number, project_id in enumerate(ids):
            progress(f"project {project_id}", number, len(ids))
            yield from _of_project(
                studio, store, settings_file, project_id, now, skip_uncontrolled=not project_ids
            )


def _settings_file(path: Path | None, project_ids: Sequence[int]) -> Iterator[Finding]:
    if path is None:
        yield fine("there is no settings file: the defaults hold")
        return
    try:
        for project_id in project_ids or [0]:
            project_config(path, project_id)
    except ConfigError as error:
        remedy = "correct the file, or name another with --config or CONSENSUS_CONFIG; see docs/settings.md"
        yield problem(str(error), "no run is made with settings that cannot be read", remedy)
    else:
        yield fine(f"settings file {path} can be read")


def _of_project(
    studio: Studio,
    store: Store | None,
    settings_file: Path | None,
    project_id: int,
    now: datetime,
    *,
    skip_uncontrolled: bool,
) -> Iterator[Diagnosis]:
    about = f"project {project_id}"
    try:
        project = studio.project(project_id)
        if skip_uncontrolled and not project.config.choices:
            return
        overlaps = studio.overlaps(project_id)
        with store.snapshot() if store else nullcontext() as snapshot:
            last_run = snapshot.last_run(project_id) if snapshot else None
            origin = snapshot.origin(project_id) if snapshot else None
    except SuiteError as error:
        remedy = "give the id that its address in Label Studio shows, and a key that may see it"
        yield Diagnosis(about, project_id, "project", problem(str(error), "nothing of it can be checked", remedy))
        return
    try:
        config = project_config(settings_file, project_id)
    except SettingsError:  # which was found before
        config = None
    state = ProjectState(
        project, config, overlaps, is_stored=store is not None, last_run=last_run, origin=origin, now=now
    )
    yield from run_checks(f"{about}, {project.title}", project_id, project_checks.CHECKS, state)

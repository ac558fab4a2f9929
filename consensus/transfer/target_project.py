"""The project in Label Studio that an import goes to: found by its id or title, made, or given more labels."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from common.errors import LostAnswerError
from common.files import held
from common.label_studio.client import LabelStudioClient
from consensus.errors import ConfigError, SourceError
from consensus.settings import ProjectConfig, project_config
from consensus.transfer.import_options import OVERLAP, ImportOptions
from consensus.transfer.sender import LOOKS_SECONDS
from consensus.transfer.sources.records import Reading
from consensus.transfer.targets import Target, existing_target, new_target

_SAMPLE = 100  # tasks that tell which key holds the given label


def plan_target(client: LabelStudioClient, reading: Reading, options: ImportOptions) -> Target:
    """Find the project, or plan it.

    Raises
    ------
    ConfigError
        Where several projects have the title, or the options do not fit the project.
    SourceError
        Where there is nothing to make a project of.
    """
    records = reading.records
    title = options.project.strip()  # as Label Studio does
    project_id = _project_id(client, title)
    if project_id is None:
        if reading.left_out and not records:
            first = reading.left_out[0]
            raise SourceError(f"the source has no image that can be imported; {first.source}: {first.reason}")
        return new_target(
            title,
            records,
            verify=options.verify,
            control=options.control,
            overlap=options.overlap or OVERLAP,
        )
    project = client.project(project_id)
    row = client.project_settings(project_id)
    if options.overlap is not None and options.overlap != row.overlap:
        raise ConfigError(
            f"project {project_id} shows each task to {row.overlap} annotators; leave --overlap out, or change it "
            "in Label Studio (Settings > Annotation), which changes it for all tasks"
        )
    settings = (
        project_config(options.config, project_id)
        if (options.config is not None and options.config.exists())
        else ProjectConfig()
    )
    page = client.task_page(project_id, page=1, size=_SAMPLE, include="id,data")
    return existing_target(
        Target(project_id, project.title, "", (), created_at=project.created_at),
        project.label_config,
        records,
        [task.get("data") or {} for task in page],
        settings,
        verify=options.verify,
        control=options.control,
        add_labels=options.add_labels,
    )


def _project_id(client: LabelStudioClient, named: str) -> int | None:
    """Id of the project that is named by its id or title; None where no project has the title."""
    titles = client.project_titles()
    if named.isdecimal():
        if int(named) not in titles:
            raise ConfigError(f"Label Studio has no project {named}, or the account may not see it")
        return int(named)
    ids = [project_id for project_id, title in titles.items() if title == named]
    if len(ids) > 1:
        raise ConfigError(f"projects {', '.join(map(str, ids))} all have the title {named!r}; name one by its id")
    return ids[0] if ids else None


def make_project(client: LabelStudioClient, target: Target, lock: Path, sleep: Callable[[float], None]) -> Target:
    """Make the project, or add labels to the existing one; return it with its id.

    Parameters
    ----------
    lock : Path
        Held while a project is made: Label Studio takes two of one title.
    """
    project_id = target.project_id
    if project_id is None:
        with held(lock, wait=True):
            if _project_id(client, target.title) is not None:
                raise ConfigError(
                    f"a project {target.title!r} was made meanwhile; the same command imports into it"
                )
            project_id = _made(client, target, sleep)
    elif target.label_config:
        client.change_project(project_id, {"label_config": target.label_config})
    return replace(target, project_id=project_id, created_at=client.project(project_id).created_at)


def _made(client: LabelStudioClient, target: Target, sleep: Callable[[float], None]) -> int:
    try:
        return client.make_project(
            target.title, target.label_config or "", {"maximum_annotations": target.overlap}
        )
    except LostAnswerError:
        for pause in LOOKS_SECONDS:
            sleep(pause)
            project_id = _project_id(client, target.title)
            if project_id is not None:
                return project_id
        raise

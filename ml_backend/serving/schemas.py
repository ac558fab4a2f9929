"""What the routes take and answer, as models: they check requests, and the OpenAPI document is made of them."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

_LARGEST = 10**18 - 1  # as a number and, of 18 digits, as a text
_PROJECT = re.compile(r"([1-9]\d{0,17})(?:\.(\d+))?", re.ASCII)


@dataclass(frozen=True)
class ProjectName:
    """A project as Label Studio names it.

    Parameters
    ----------
    stamp : str
        The second when it was made: another project may get its id after a reset. Empty where that is not said.
    """

    id: int
    stamp: str = ""


def named(value: object) -> ProjectName | None:
    """Return the project that a value names; None where it names none."""
    try:
        return _named(value)
    except ValueError:
        return None


def _named(value: object) -> ProjectName:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LARGEST:
        return ProjectName(value)
    match = _PROJECT.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise ValueError("must be the id of a project, alone or followed by a point and the time it was made")
    return ProjectName(int(match[1]), match[2] or "")


_PROJECT_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": _LARGEST},
            {"type": "string", "pattern": r"^[1-9][0-9]{0,17}(\.[0-9]+)?$"},
        ],
        "description": "Label Studio writes `7.1795256176`: the id and the second when the project was made.",
    }
)
Project = Annotated[ProjectName, BeforeValidator(_named), _PROJECT_SCHEMA]
ProjectId = Annotated[int, BeforeValidator(lambda value: _named(value).id), _PROJECT_SCHEMA]
ProjectOrNone = Annotated[
    ProjectName | None,
    BeforeValidator(lambda value: None if value is None or value == "" else _named(value)),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": _LARGEST},
                {"type": "string", "pattern": r"^([1-9][0-9]{0,17}(\.[0-9]+)?)?$"},
                {"type": "null"},
            ],
            "description": "Without one: that of the tasks, or the trained one that the label config fits.",
        }
    ),
]
Entry = Annotated[list[Any], Field(max_length=0)]


class _Body(BaseModel):
    """What else Label Studio sends is not read."""

    model_config = ConfigDict(extra="ignore")


class Setup(_Body):
    """A project that wants to know which version answers. Token and address in it are not used."""

    project: Project


class Predict(_Body):
    """Tasks to make suggestions for."""

    project: ProjectOrNone = None
    tasks: list[Any] = Field(
        description="Each an object with `id` and `data`; anything else gets an empty entry. At most "
        "`ML_BACKEND_MAX_TASKS`."
    )
    label_config: str = Field("", description="What the suggestions have to fit.")


class WebhookProject(_Body):
    """The project that something happened in."""

    id: ProjectId
    label_config: str = ""


class Webhook(_Body):
    """Something that happened."""

    action: str
    project: WebhookProject | None = None


class VersionsOf(BaseModel):
    """Which versions to list."""

    project: Annotated[ProjectId | None, _PROJECT_SCHEMA] = None


class Examining(BaseModel):
    """Which project to look at."""

    project: ProjectId


class Finding(BaseModel):
    """What a check has seen, why it matters, and what helps."""

    about: str
    project: int | None
    check: str
    level: Literal["fine", "warning", "problem"]
    seen: str
    why: str
    remedy: str


class Examined(BaseModel):
    """What `ml-backend doctor` finds."""

    fine: bool
    findings: list[Finding]


class ClustersOf(BaseModel):
    """Of which project, and of which of its versions; without one of that which answers."""

    project: Project
    version: str = ""


class Cluster(BaseModel):
    """A cluster of similar images.

    Parameters
    ----------
    size : int
        Tasks in it.
    tasks : list of int
        Their ids, the nearest to the centre first; every so many of a large project.
    """

    cluster: int
    size: int
    tasks: list[int]


class Clusters(BaseModel):
    """Which tasks were in which cluster when the version was last published.

    Parameters
    ----------
    every : int
        Of so many tasks one is named: 1 where all are.
    without : int
        Tasks without an embedding, which are in no cluster.
    """

    model_version: str
    every: int
    without: int
    clusters: list[Cluster]


class Health(BaseModel):
    """Whether the backend is up and, unless credentials are asked for and missing, what answers."""

    model_config = ConfigDict(extra="allow")

    status: Literal["UP"]


class Version(BaseModel):
    """The version that answers for a project."""

    model_version: str


class Prediction(BaseModel):
    """A suggestion, as Label Studio takes it."""

    model_config = ConfigDict(extra="allow")

    model_version: str
    score: float = Field(ge=0, le=1)
    result: list[dict[str, Any]]


class Suggestions(BaseModel):
    """As many entries as tasks, in their order; an empty list where there is nothing to suggest."""

    results: list[Prediction | Entry]


class Acknowledged(BaseModel):
    """What the event leads to."""

    status: Literal["training requested", "ignored"]


class Versions(BaseModel):
    """Trained versions, newest first: of all projects together, and of each."""

    versions: list[str]
    projects: dict[str, list[str]]

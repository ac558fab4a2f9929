"""Images that look alike: the clusters of the model version that answers, and how mixed their labels are."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.label_studio.rows import stamp_of
from consensus.console.computed import Outcome
from consensus.console.desk import console
from consensus.console.sources import Outlook, Source, if_set
from consensus.core.assist.mixture import Mixture, mixture
from consensus.errors import BackendError
from consensus.label_studio import Studio
from consensus.serving.ml_backend import MLBackend
from consensus.serving.service import Service, service
from consensus.store.columns import Row
from consensus.store.reader import Snapshot

CLUSTERS = "clusters"
NEAR, FAR, ODD = "near", "far", "odd"
SAMPLE = 4
"""Images that a cluster shows of itself in the list of all."""
BY_PLACE = {NEAR: "nearest to the centre first", FAR: "farthest first", ODD: "other labels first"}
FRESH_S = 600.0
"""After so long the ML backend is asked again, and after each run."""
ASKED = 5
"""So many backends of a project are asked after at most."""
LONGEST = 300
"""Letters of the name of a version."""
NOT_FOUND = 404
Count = Annotated[int, Field(ge=0, lt=2**63)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Cluster(_Strict):
    cluster: Count
    size: Count
    tasks: list[Count]


class _Clusters(_Strict):
    model_version: str = Field(max_length=LONGEST)
    every: int = Field(ge=1, lt=2**63)
    without: Count
    clusters: list[_Cluster]


@dataclass(frozen=True)
class Cluster:
    """Images that look alike.

    Parameters
    ----------
    size : int
        Of all of them.
    tasks : sequence of int
        Those that are shown, the nearest to the centre first.
    mixture : Mixture
        Of the labels of those that are shown.
    """

    number: int
    size: int
    tasks: Sequence[int]
    mixture: Mixture


@dataclass(frozen=True, eq=False)
class Clustered:
    """The clusters of a model version.

    Parameters
    ----------
    every : int
        Of so many images one is shown: 1 where all are.
    without : int
        Images without an embedding.
    clusters : dict of int to Cluster
        By their number, the most mixed ones first.
    labels : mapping of int to collection of str
        What is taken to be right, by task; of others nothing is known.
    run : int
        By which it is.
    ends_at : float
        Until when it is shown, by the monotonic clock.
    """

    version: str
    every: int
    without: int
    clusters: dict[int, Cluster]
    labels: Mapping[int, Collection[str]]
    run: int
    ends_at: float


def clustered(project: int, run: Row, control: str) -> Outcome[Clustered]:
    """Return the clusters as they were a moment ago; the first who asks has them read behind the page."""
    here = service()

    def is_fresh(read: Clustered) -> bool:
        return read.run == run["id"] and time.monotonic() < read.ends_at

    work = partial(read_clusters, here, project, run["id"], control)
    return console().computed.of((CLUSTERS, project, control), work, is_fresh)


def read_clusters(here: Service, project: int, run: int, control: str) -> Clustered:
    """Ask our ML backend for the clusters of the version with which one of the project's connections answers.

    Raises
    ------
    BackendError
        Where no connection is ours, or ours answers what cannot be used.
    LabelStudioError
        Where Label Studio does not say what is connected.
    """
    with here.studio() as studio:
        answered = _answered(here.ml_backend, studio, project)
    with here.store.snapshot() as snapshot:
        labels = snapshot.likely(project, control)
    clusters = [
        Cluster(each.cluster, each.size, each.tasks, mixture(labels.get(task, ()) for task in each.tasks))
        for each in answered.clusters
    ]
    clusters.sort(key=lambda each: (-each.mixture.lower, -each.mixture.others, -each.size, each.number))
    by_number = {each.number: each for each in clusters}
    ends_at = time.monotonic() + FRESH_S
    return Clustered(answered.model_version, answered.every, answered.without, by_number, labels, run, ends_at)


def _answered(backend: MLBackend, studio: Studio, project: int) -> _Clusters:
    name = f"{project}.{stamp_of(studio.project(project).created_at)}".rstrip(".")
    working = [row for row in studio.client.connections(project) if row.works]
    versions = [row.answers_with for row in working if 0 < len(row.answers_with) <= LONGEST]
    error = BackendError(f"Label Studio names no ML backend that answers: ml-backend connect --project {project}")
    for version in list(dict.fromkeys(versions))[:ASKED]:
        try:
            answer = _Clusters.model_validate(backend.ask("/clusters", project=name, version=version))
        except ValidationError:
            raise BackendError(f"what the ML backend at {backend.url} answers are no clusters") from None
        except BackendError as refused:
            if refused.http_status != NOT_FOUND:
                raise
            error = refused  # another connection may be ours
        else:
            return answer
    raise error


def all_clusters(read: Clustered) -> Source:
    """Return the clusters, the most mixed ones first, each with the first of its images."""
    clusters = list(read.clusters.values())

    def behind(after: Row | None, limit: int) -> list[Row]:
        first = _rank_behind(after)
        return [
            {"rank": rank, "cluster": each, "sample": each.tasks[:SAMPLE]}
            for rank, each in enumerate(clusters[first : first + limit], first)
        ]

    return Source(len(clusters), ("rank",), behind, None)


def of_cluster(
    snapshot: Snapshot, project: int, control: str, label: str, order: str, read: Clustered, cluster: Cluster
) -> Source:
    """Return the images of a cluster, in an order."""
    tasks = list(dict.fromkeys(cluster.tasks))
    if order == FAR:
        tasks.reverse()
    if order == ODD:
        leading = cluster.mixture.label
        tasks.sort(key=lambda task: leading in read.labels.get(task, (leading,)))

    def behind(after: Row | None, limit: int) -> list[Row]:
        first = _rank_behind(after)
        return [
            {"rank": rank, "task": task, "control": control, "chips": sorted(read.labels.get(task, ()))}
            for rank, task in enumerate(tasks[first : first + limit], first)
        ]

    def expect(rows: list[Row]) -> Outlook:
        return if_set(snapshot, project, {(row["task"], control) for row in rows}, label)

    return Source(len(tasks), ("rank",), behind, expect)


def _rank_behind(after: Row | None) -> int:
    return 0 if after is None else int(after["rank"]) + 1

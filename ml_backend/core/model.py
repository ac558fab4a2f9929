"""What one training learned about one project."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from common.contract import GivenLabel
from ml_backend.core.cluster_evidence import ClusterEvidence
from ml_backend.core.clusters import Clusters, fit_clusters
from ml_backend.core.controls import Control
from ml_backend.core.fit import AnnotatedImages, fit_scores
from ml_backend.core.given_labels import GivenNoise
from ml_backend.core.held_out import HeldOutCheck, OutOfFold
from ml_backend.core.linear import Components, LinearClassifier, fit_components, one_thread
from ml_backend.core.model_selection import SHARES
from ml_backend.core.reach import Reach, fit_reach
from ml_backend.core.scores import ControlScores, Pool
from ml_backend.core.verification import answers as verified

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

_ArrayClass = TypeVar("_ArrayClass", ClusterEvidence, LinearClassifier, OutOfFold, GivenNoise)


@dataclass(frozen=True)
class Evidence:
    """One control's targets for some of the images.

    Parameters
    ----------
    rows : (n_known,) int64
        Row of each annotated image in the embeddings.
    shares : (n_known, n_labels) float32
        In [0, 1]; rows of a single choice sum to 1.
    weights : (n_known,) float32, optional
        How much each target counts, at least 0 and finite, for example the confidence in it; 1 if left out.
    clean : (n_known,) bool, optional
        False for targets that the embeddings themselves were learned from: they are learned from here too, but do
        not judge. True if left out.
    tasks : (n_known,) int64, optional
        Id of each image's task, each once: with them the held-out probabilities are kept for comparisons.
    given : (n_known, n_labels) float32, optional
        1 where a label came with the task; rows of zeros where none did. The weight is 0 where nobody
        has annotated.
    answers : (n_known, n_labels) float32, optional
        What people have annotated, by which alone models are measured; the targets if left out.
    counts : (n_known,) float32, optional
        How much each of these counts, at least 0; as the targets if left out.
    """

    control: Control
    rows: Rows
    shares: Floats
    weights: Floats | None = None
    clean: NDArray[np.bool_] | None = None
    tasks: Rows | None = None
    given: Floats | None = None
    answers: Floats | None = None
    counts: Floats | None = None

    @property
    def annotated(self) -> list[int]:
        """Ids of the tasks that people have annotated."""
        if self.tasks is None:
            return []
        return [int(task) for task in (self.tasks if self.weights is None else self.tasks[self.weights > 0])]

    @property
    def judges(self) -> tuple[Floats, Floats]:
        """What models are measured by, and its weights: people's annotations or, without any, given labels."""
        counts = np.ones(len(self.rows), dtype=np.float32) if self.weights is None else self.weights
        answers = self.shares
        if self.answers is not None and self.counts is not None:
            answers, counts = self.answers, self.counts
        if self.given is None or counts.any():
            return answers, counts
        return self.given, np.ones_like(counts)


class Answer(NamedTuple):
    """What a model says of one control.

    Attributes
    ----------
    scores : (n_images, n_labels) float32
    supported : (n_images,) bool
        Where there is anything to suggest.
    given : list of GivenLabel or None
        The label that each image's task came with, and how likely it is right.
    """

    scores: Floats
    supported: NDArray[np.bool_]
    given: Sequence[GivenLabel | None]


@dataclass(frozen=True)
class ProjectModel:
    """Clusters of a project's images and what its annotations say about them, control by control.

    Parameters
    ----------
    reach : Reach or None
        Which images resemble an annotated one; None where all may.
    """

    clusters: Clusters
    components: Components
    controls: tuple[ControlScores, ...]
    reach: Reach | None = None

    @property
    def is_from_names(self) -> bool:
        """Whether it is made from the names of the labels alone."""
        return any(scores.check.is_from_names for scores in self.controls)

    def covers(self, embeddings: Floats) -> NDArray[np.bool_]:
        """(n_images,): whether each image resembles an annotated one."""
        return np.ones(len(embeddings), dtype=np.bool_) if self.reach is None else self.reach.covers(embeddings)

    def scores(
        self, embeddings: Floats, served: Mapping[str, Control]
    ) -> dict[str, tuple[Floats, NDArray[np.bool_]]]:
        """Score the controls that the project has now.

        A label that the project no longer has keeps its probability mass but is not suggested; a label that it did
        not have at training gets 0; one that has another name now is suggested under it. Where a label that a
        single choice no longer has is the likeliest, nothing is suggested: what is left would be a guess.

        Parameters
        ----------
        embeddings : (n_images, n_dimensions) float32
        served : mapping of str to Control
            The controls of the label config of today, by name.

        Returns
        -------
        dict of str to (scores, supported)
            ``scores`` (n_images, n_labels of today) float32 in [0, 1]; ``supported`` (n_images,) bool.
        """
        return {name: (each.scores, each.supported) for name, each in self.answers(embeddings, served).items()}

    def answers(
        self,
        embeddings: Floats,
        served: Mapping[str, Control],
        tasks: Sequence[tuple[int, Mapping[str, object]]] = (),
    ) -> dict[str, Answer]:
        """Score the controls as ``scores`` does, knowing what tasks came with.

        Where a task's own given label was learned from, what it taught is left out of its scores. A control that
        verifies given labels answers for no task without one.

        Parameters
        ----------
        tasks : sequence of (int, mapping)
            Id and data of each image's task.
        """
        assigned, points = self.clusters.assign(embeddings), self.components.project(embeddings)
        covered = self.covers(embeddings)
        answers: dict[str, Answer] = {}
        for trained in self.controls:
            control = served.get(trained.control.name)
            if control is None or control.multiple != trained.control.multiple:
                continue
            then, supported = trained.probabilities(assigned, points)
            then, right = trained.beside_given(then, tasks)
            given = [trained.likely(row) for row in right]
            if trained.control.answers:
                today = replace(control, answers=trained.control.answers)
                scores, sure = verified(today, then, right)
                answers[control.name] = Answer(scores, covered & supported & sure, given)
                continue
            names = [control.today(label) for label in trained.control.labels]
            scores = np.zeros((len(embeddings), len(control.labels)), dtype=np.float32)
            for column, label in enumerate(control.labels):
                if columns := [place for place, name in enumerate(names) if name == label]:
                    joined = then[:, columns]
                    scores[:, column] = joined.max(axis=1) if control.multiple else joined.sum(axis=1)
            gone = [column for column, name in enumerate(names) if name not in control.labels]
            likelier = then[:, gone].max(axis=1, initial=0) if gone and not control.multiple else 0
            answered_here = covered & supported & (scores.max(axis=1) > likelier)
            answers[control.name] = Answer(scores, answered_here, given)
        return answers


def fit_model(
    embeddings: Floats, evidence: Sequence[Evidence], seed: int = 0, pools: Sequence[float] = SHARES
) -> ProjectModel:
    """Cluster all images and map the clusters to labels.

    Parameters
    ----------
    embeddings : (n_images, n_dimensions) float32
    evidence : sequence of Evidence
        At least one, each with at least one row.
    pools : sequence of float
        The shares of the linear classifier that compete with one another: 0 is the clusters alone.
    """
    with one_thread():
        clusters = fit_clusters(
            embeddings, max(len(control_evidence.control.labels) for control_evidence in evidence), seed
        )
        components = fit_components(embeddings, seed)
        controls = tuple(
            fit_scores(
                control_evidence.control,
                _annotated_images(control_evidence, embeddings[control_evidence.rows], clusters, components),
                clusters.centroids.shape[1],
                control_evidence.tasks,
                seed,
                pools,
            )
            for control_evidence in evidence
        )
        annotated = np.unique(np.concatenate([control_evidence.rows for control_evidence in evidence]))
        reach = fit_reach(embeddings[annotated], seed)
    return ProjectModel(clusters, components, controls, reach)


def _annotated_images(
    evidence: Evidence, embeddings: Floats, clusters: Clusters, components: Components
) -> AnnotatedImages:
    n_known = len(embeddings)
    return AnnotatedImages(
        clusters.assign(embeddings).T,
        components.project(embeddings),
        evidence.shares,
        np.ones(n_known, dtype=np.float32) if evidence.weights is None else evidence.weights,
        np.ones(n_known, dtype=np.bool_) if evidence.clean is None else evidence.clean,
        _pictures(embeddings),
        evidence.given,
        evidence.answers,
        evidence.counts,
    )


def _pictures(embeddings: Floats) -> Rows:
    """Number the images so that those with the same embedding share a number."""
    packed = np.ascontiguousarray(embeddings).view(np.dtype((np.void, embeddings[0].nbytes))).ravel()
    return np.asarray(np.unique(packed, return_inverse=True)[1], dtype=np.int64)


def to_arrays(model: ProjectModel) -> tuple[dict[str, NDArray[Any]], list[dict[str, Any]]]:
    """Split a model into plain arrays and a JSON-ready description of its controls."""
    arrays: dict[str, NDArray[Any]] = {
        "mean": model.clusters.mean,
        "projection": model.clusters.projection,
        "centroids": model.clusters.centroids,
        "components_mean": model.components.mean,
        "components": model.components.projection,
    }
    if model.reach is not None:
        arrays |= {
            "reach_directions": model.reach.directions.astype(np.float16),  # half the file
            "reach_radius": np.array(model.reach.radius),
        }
    described = []
    for number, scores in enumerate(model.controls):
        prefixed: dict[str, object] = {
            "": scores.clusters,
            "linear_": scores.linear,
            "held_out_": scores.out_of_fold,
            "noise_": scores.noise,
        }
        arrays |= {
            f"{prefix}{name}_{number}": array
            for prefix, fields_of in prefixed.items()
            if fields_of is not None
            for name, array in vars(fields_of).items()
        }
        described.append(
            {
                "control": {name: value for name, value in asdict(scores.control).items() if name != "conditions"},
                "smoothing": scores.smoothing,
                "pool": asdict(scores.pool),
                "check": scores.check.as_dict(),
            }
        )
    return arrays, described


def from_arrays(arrays: Mapping[str, NDArray[Any]], described: Sequence[Mapping[str, Any]]) -> ProjectModel:
    """Join what ``to_arrays`` split.

    Raises
    ------
    KeyError, TypeError
        If a part is missing.
    """
    controls = tuple(
        ControlScores(
            control=Control(**{**description["control"], "labels": tuple(description["control"]["labels"])}),
            clusters=_from_arrays(ClusterEvidence, arrays, "", number),
            smoothing=description["smoothing"],
            linear=_from_arrays(LinearClassifier, arrays, "linear_", number)
            if description["pool"]["share"]
            else None,
            pool=Pool(**description["pool"]),
            check=HeldOutCheck.from_dict(description["check"]),
            out_of_fold=_from_arrays(OutOfFold, arrays, "held_out_", number)
            if f"held_out_tasks_{number}" in arrays
            else None,
            noise=_from_arrays(GivenNoise, arrays, "noise_", number)
            if f"noise_taught_{number}" in arrays
            else None,
        )
        for number, description in enumerate(described)
    )
    clusters = Clusters(arrays["mean"], arrays["projection"], arrays["centroids"])
    components = Components(arrays["components_mean"], arrays["components"])
    reach = None
    if "reach_radius" in arrays:
        reach = Reach(arrays["reach_directions"].astype(np.float32), float(arrays["reach_radius"]))
    return ProjectModel(clusters, components, controls, reach)


def _from_arrays(
    kind: type[_ArrayClass], arrays: Mapping[str, NDArray[Any]], prefix: str, number: int
) -> _ArrayClass:
    return kind(**{field.name: arrays[f"{prefix}{field.name}_{number}"] for field in fields(kind)})

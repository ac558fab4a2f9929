"""Suggestions from the names of labels alone, by a network that has learned images together with texts.

A label is as likely as its texts resemble the image: a softmax over the labels (CLIP: Radford et al. 2021,
arXiv:2103.00020), or a sigmoid for each of them where the network was learned so (SigLIP: Zhai et al. 2023,
arXiv:2303.15343).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.label_studio.given_labels import answers_in
from common.label_studio.label_config import read_label_config
from ml_backend.core.cluster_evidence import count_evidence
from ml_backend.core.clusters import fit_clusters
from ml_backend.core.controls import Control
from ml_backend.core.held_out import NOTHING, HeldOutCheck, OutOfFold
from ml_backend.core.linear import Components, LinearClassifier
from ml_backend.core.model import ProjectModel
from ml_backend.core.scores import ControlScores, Pool

Floats = NDArray[np.float32]

LABEL = "{label}"
"""What a prompt holds in place of a label."""


@dataclass(frozen=True)
class Likeness:
    """How a network turns the cosine between an image and a text into a logit.

    Parameters
    ----------
    scale : float
    bias : float or None
        None where the network compares texts with one another, and says of none alone whether it fits.
    """

    scale: float
    bias: float | None = None


def nameless(control: Control, likeness: Likeness) -> str:
    """Return why the names of a control's labels say nothing about an image; empty where they do.

    Examples
    --------
    >>> blurred = Control("blurred", "image", ("yes", "no"), multiple=False, image_key="image")
    >>> nameless(blurred, Likeness(100))
    'is answered by yes and no'
    """
    if control.answers or answers_in(control.labels):
        return "is answered by yes and no"
    if control.multiple and likeness.bias is None:
        return "takes several labels, for which the network must have learned with a sigmoid (SigLIP)"
    return ""


def prompts(
    label_config: str, controls: Sequence[Control], templates: Sequence[str]
) -> dict[str, list[list[str]]]:
    """Return the texts of each label of each control, by the control's name.

    Examples
    --------
    >>> config = '''<View><Image name="image" value="$image"/><Choices name="kind" toName="image">
    ...     <Choice value="c12" hint="ear of wheat"/><Choice value="oat_ear"/></Choices></View>'''
    >>> kind = Control("kind", "image", ("c12", "oat_ear"), multiple=False, image_key="image")
    >>> prompts(config, [kind], ["a photo of a {label}"])
    {'kind': [['a photo of a ear of wheat'], ['a photo of a oat ear']]}
    """
    described = {
        tag.name: dict(zip(tag.labels, tag.described_as, strict=True))
        for tag in read_label_config(label_config).choices
    }
    return {
        control.name: [
            [template.replace(LABEL, described[control.name][label].replace("_", " ")) for template in templates]
            for label in control.labels
        ]
        for control in controls
    }


def fit_names(
    embeddings: Floats,
    controls: Sequence[Control],
    texts: Mapping[str, Floats],
    likeness: Likeness,
    seed: int = 0,
) -> ProjectModel:
    """Make a model of the texts of labels; nothing is learned but the clusters, by which tasks take turns.

    Parameters
    ----------
    embeddings : (n_images, n_dimensions) float32
        Of length 1; at least one row.
    controls : sequence of Control
        At least one.
    texts : mapping of str to (n_labels, n_texts, n_dimensions) float32
        Embeddings of each label's texts by control, of length 1.
    """
    names = np.concatenate([texts[control.name].mean(axis=1) for control in controls])
    names /= np.maximum(np.linalg.norm(names, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    clusters = fit_clusters(embeddings, max(len(control.labels) for control in controls), seed)
    cosines = Components(np.zeros(names.shape[1], dtype=np.float32), np.ascontiguousarray(names.T))
    logits = likeness.scale * np.eye(len(names), dtype=np.float32)
    firsts = np.cumsum([0, *(len(control.labels) for control in controls)])
    scores = tuple(
        _scores(control, logits[:, first:after], likeness.bias or 0, clusters.centroids.shape)
        for control, first, after in zip(controls, firsts, firsts[1:], strict=False)
    )
    return ProjectModel(clusters, cosines, scores)


def _scores(control: Control, coefficients: Floats, bias: float, shape: tuple[int, ...]) -> ControlScores:
    runs, n_clusters = shape[:2]
    no_shares, no_tasks = np.zeros((0, len(control.labels)), dtype=np.float32), np.zeros(0, dtype=np.int64)
    nobody = np.zeros((runs, 0), dtype=np.int64), no_shares, np.zeros(0, dtype=np.float32)
    return ControlScores(
        control,
        count_evidence(*nobody, n_clusters, multiple=control.multiple),
        1.0,
        LinearClassifier(coefficients, np.full(len(control.labels), bias, dtype=np.float32)),
        Pool(share=1.0),
        HeldOutCheck(against=NOTHING),
        OutOfFold(no_tasks, no_shares, no_tasks),
    )

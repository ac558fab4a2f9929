"""What a training learns from, in one digest: where a version has the same, the same would be learned again."""

import hashlib
from collections.abc import Sequence

import numpy as np

from common.label_studio.label_config import config_digest
from ml_backend import __version__
from ml_backend.core.model import Evidence
from ml_backend.embedding.gather import Gathered
from ml_backend.label_studio.client import Project


def learning_digest(
    project: Project, embedding_key: str, seed: int, gathered: Gathered, evidence: Sequence[Evidence]
) -> str:
    """Return the SHA-256 of all that a training learns from.

    That is the project with its label config, the embedder, the images, the targets of each control with their
    weights and whether they may judge, and the program. The order of the tasks does not matter.
    """
    digest = hashlib.sha256()
    for name in (__version__, project.stamp, config_digest(project.label_config), embedding_key, str(seed)):
        digest.update(name.encode() + b"\0")
    for ref in sorted(gathered.vectors, key=lambda ref: (ref.task_id, ref.key)):
        digest.update(f"{ref.task_id} {ref.key}".encode() + b"\0")
        digest.update(gathered.vectors[ref].tobytes())
    for of_control in evidence:
        order = np.argsort(of_control.rows if of_control.tasks is None else of_control.tasks, kind="stable")
        digest.update(repr(of_control.control).encode() + b"\0")
        for name in ("tasks", "shares", "weights", "clean", "given", "answers", "counts"):
            array = getattr(of_control, name)
            digest.update(b"\0" if array is None else array[order].tobytes())
    return digest.hexdigest()

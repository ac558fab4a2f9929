"""What a version from the names of the labels alone is made of, where there is nothing else to learn from."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.label_studio.label_config import config_digest
from ml_backend import __version__
from ml_backend.core.controls import Control
from ml_backend.core.identity import Identity
from ml_backend.core.model import ProjectModel
from ml_backend.core.zero_shot import Likeness, fit_names, nameless, prompts
from ml_backend.embedding.image_text import embed_texts, of_length_one
from ml_backend.errors import NothingToLearnError, WeightsError
from ml_backend.label_studio.client import Project
from ml_backend.settings import Settings

_ANY = Likeness(1, 0)  # says of each label alone whether it fits


@dataclass(frozen=True)
class LabelNames:
    """The names of a project's labels.

    Parameters
    ----------
    controls : sequence of Control
        Whose labels say something about images.
    texts : mapping of str to list of list of str
        By control and label.
    """

    project: Project
    controls: Sequence[Control]
    texts: Mapping[str, list[list[str]]]

    @classmethod
    def of(cls, project: Project, controls: Sequence[Control], settings: Settings) -> "LabelNames":
        """Read a project's."""
        named = [control for control in controls if not nameless(control, _ANY)]
        return cls(project, named, prompts(project.label_config, named, settings.zero_shot_prompts))

    def digest(self, embedding_key: str) -> str:
        """Return the SHA-256 of all that their model is made from; images are not, since they teach nothing."""
        project = self.project.stamp, config_digest(self.project.label_config)
        return hashlib.sha256(repr((__version__, project, embedding_key, self.texts)).encode()).hexdigest()

    def model(self, identity: Identity, embeddings: NDArray[np.float32], seed: int) -> ProjectModel:
        """Make their model.

        Raises
        ------
        NothingToLearnError
            If they say nothing about an image.
        WeightsError
            If the network cannot be had, or does not make vectors that can be compared.
        """
        every = [text for labels in self.texts.values() for texts in labels for text in texts]
        vectors, likeness = embed_texts(identity, every) if every else (np.zeros((0, 1), dtype=np.float32), _ANY)
        if not of_length_one(embeddings):
            raise WeightsError(f"{identity.key} must make vectors of length 1 of images, as of texts")
        embedded, rest = {}, iter(vectors)
        for control in self.controls:
            embedded[control.name] = np.array([[next(rest) for _ in texts] for texts in self.texts[control.name]])
        reasons = {control.name: nameless(control, likeness) for control in self.controls}
        named = [control for control in self.controls if not reasons[control.name]]
        if not named:
            listed = "; ".join(f"{name} {why}" for name, why in reasons.items()) or "they are yes and no"
            raise NothingToLearnError(
                f"project {self.project.id} has no annotation and no given label to learn from, and the names of "
                f"its labels say nothing about images: {listed}"
            )
        return fit_names(embeddings, named, embedded, likeness, seed)

"""The embeddings of a project's images: with which backbone, and of which images there are any."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from common.errors import SuiteError
from common.progress import Progress
from ml_backend.core.identity import Identity
from ml_backend.core.versions import RANDOM
from ml_backend.embedding.backbones import Backbones
from ml_backend.embedding.engines import Embedder
from ml_backend.embedding.gather import Gathered, Gatherer, ImageRef
from ml_backend.embedding.image_text import image_text_identity
from ml_backend.embedding.reasons import counted
from ml_backend.embedding.tuned import TunedWeights
from ml_backend.errors import ModelLoadingError, UnusableProjectError
from ml_backend.model_registry import Artifact
from ml_backend.settings import Settings

log = structlog.get_logger()

_CALIBRATED_ON = 64  # images


@dataclass(frozen=True)
class ProjectEmbeddings:
    """The parts that embed."""

    settings: Settings
    gatherer: Gatherer
    backbones: Backbones

    def backbone(
        self, project_id: int, stamp: str, refs: Sequence[ImageRef], last: Artifact | None
    ) -> tuple[Embedder, int]:
        """Return the backbone; random weights with the project's calibration, made anew while that has few images.

        Weights that the project of that stamp has of its own go before the configured ones.

        Every calibration has embeddings of its own, so that of the last version is kept unless the project has
        since at least doubled and it was on less than a full sample.

        Raises
        ------
        UnusableProjectError
            If no image can be read to calibrate on.
        SuiteError
            If the weights cannot be had.
        """
        tuned = TunedWeights(self.settings.data_dir).of_project(project_id, stamp)
        if tuned is not None:
            return self._embedder_with(tuned.identity), 0
        base = self.backbones.preferred()
        if base.weights_id != RANDOM:
            return base, 0
        n_needed = min(len(refs), _CALIBRATED_ON)
        wanted_of = (base.backbone, RANDOM, self.settings.seed)
        fits = last is not None and (last.backbone, last.weights_id, last.seed) == wanted_of
        if last and fits and (last.n_calibrated >= _CALIBRATED_ON or n_needed < 2 * last.n_calibrated):
            return base.with_calibration(last.calibration), last.n_calibrated
        sample = np.random.default_rng(self.settings.seed).choice(len(refs), n_needed, replace=False)
        prepared, reasons = self.gatherer.prepare([refs[row] for row in sorted(sample)], base)
        if not prepared:
            raise UnusableProjectError(
                f"no image of project {project_id} can be read ({counted(reasons)}): ml-backend doctor --project "
                f"{project_id} says why and what helps"
            )
        return base.calibrate(prepared), len(prepared)

    def of_names(self) -> Embedder:
        """Return what embeds images for comparison with the names of labels."""
        return self._embedder_with(image_text_identity(self.settings.zero_shot))

    def gather(
        self,
        project_id: int,
        refs: Sequence[ImageRef],
        embedding_key: str,
        embedder: Callable[[], Embedder],
        progress: Progress,
    ) -> Gathered:
        """Embed images, or take them from the cache; write to the log which cannot be read."""
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            progress("embedding images", done, len(refs))

        gathered = self.gatherer.gather(
            refs, embedding_key=embedding_key, embedder=embedder, advance=advance, project_id=project_id
        )
        for ref, reason in gathered.failures.items():
            log.warning("image_left_out", project=project_id, task=ref.task_id, reason=reason)
        return gathered

    def gather_for(
        self, artifact: Artifact, project_id: int, refs: Sequence[ImageRef], progress: Progress
    ) -> Gathered:
        """Embed images as a version needs them; its backbone is loaded where one is not in the cache."""
        return self.gather(project_id, refs, artifact.embedding_key, lambda: self._embedder_of(artifact), progress)

    def why_unusable(self, artifact: Artifact) -> str:
        """Return why new images cannot be embedded for a version; empty if they can."""
        try:
            self._embedder_of(artifact)
        except ModelLoadingError:  # which passes
            return ""
        except SuiteError as error:
            return str(error)
        return ""

    def _embedder_of(self, artifact: Artifact) -> Embedder:
        return self._embedder_with(artifact.identity)

    def _embedder_with(self, identity: Identity) -> Embedder:
        return self.backbones.matching(identity, identity.key, timeout_s=self.settings.weights_timeout_s)

"""What can go wrong, as one small tree of exceptions with messages that a person can act on."""

from common.console import install
from common.errors import LabelStudioError, LostAnswerError, RefusedError, SuiteError

__all__ = ["LabelStudioError", "LostAnswerError", "RefusedError"]


class WeightsError(SuiteError):
    """The backbone's weights cannot be had."""


class DownloadError(WeightsError):
    """The backbone's weights cannot be downloaded now, which may pass."""


class NotExportedError(WeightsError):
    """A network is not there as an ONNX file, and torch, which would export it, is not installed."""

    def __init__(self, *keys: str) -> None:
        super().__init__(
            f"there is no ONNX file of {' or '.join(keys)}, and torch, which makes one, is not installed: put "
            "what `ml-backend export` writes, in an environment with torch, into the folder engines of "
            f"ML_BACKEND_DATA_DIR or into ML_BACKEND_ENGINES_DIR, or {install('.[ml]')}"
        )


class NothingToLearnError(SuiteError):
    """The project holds no annotation that the backend could learn from; nothing was changed."""


class UnusableProjectError(NothingToLearnError):
    """There is something to learn from, and it cannot be used before somebody mends it; nothing was changed."""


class NothingToPredictError(SuiteError):
    """No model version answers for the project, or none of its controls is in the project's config."""


class VersionReplacedError(NothingToPredictError):
    """Another version answers for the project than the one whose predictions are at hand."""


class VersionError(SuiteError):
    """A model version is not there, is damaged, or does not fit the project."""


class NotConnectedError(SuiteError):
    """Another backend may answer for the project."""


class ForgettingError(SuiteError):
    """What is kept of a project cannot go now."""


class ModelLoadingError(SuiteError):
    """The backbone is still being loaded, or will be tried again."""


class EmbeddingError(SuiteError):
    """The network failed on an image, or gave it something else than numbers."""


class StoppingError(SuiteError):
    """The backend is being stopped, and begins nothing new."""

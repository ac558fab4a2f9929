"""What can go wrong at the edges, as one small tree of exceptions with messages that a person can act on."""

from common.errors import SuiteError


class LabelStudioError(SuiteError):
    """Label Studio could not be reached or refused a request."""


class LostAnswerError(LabelStudioError):
    """Label Studio may have done what it was asked, or may be doing it still: its answer did not arrive."""


class RefusedError(LabelStudioError):
    """Label Studio answered a request with an error status.

    Parameters
    ----------
    message : str
    status : int
        Of the answer.
    reason : str
        What Label Studio said about it.
    """

    def __init__(self, message: str, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class WeightsError(SuiteError):
    """The backbone's weights cannot be had."""


class DownloadError(WeightsError):
    """The backbone's weights cannot be downloaded now, which may pass."""


class NothingToLearnError(SuiteError):
    """The project holds no annotation that the backend could learn from; nothing was changed."""


class NothingToPredictError(SuiteError):
    """No model version answers for the project, or none of its controls is in the project's config."""


class VersionError(SuiteError):
    """A model version is not there, is damaged, or does not fit the project."""


class ModelLoadingError(SuiteError):
    """The backbone is still being loaded, or will be tried again."""


class EmbeddingError(SuiteError):
    """The network failed on an image, or gave it something else than numbers."""


class StoppingError(SuiteError):
    """The backend is being stopped, and begins nothing new."""


class FetchError(SuiteError):
    """An image could not be fetched.

    Parameters
    ----------
    reason : str
        A short code for logs and metrics, such as ``missing``, ``timeout`` or ``http_404``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

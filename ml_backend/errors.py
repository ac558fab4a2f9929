"""What can go wrong at the edges, as one small tree of exceptions with messages that a person can act on."""


class MLBackendError(Exception):
    """Something that the person who runs the backend can fix; its message says how."""


class NotConfiguredError(MLBackendError):
    """A setting is missing that this action needs."""


class LabelStudioError(MLBackendError):
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


class WeightsError(MLBackendError):
    """The backbone's weights cannot be had."""


class DownloadError(WeightsError):
    """The backbone's weights cannot be downloaded now, which may pass."""


class NothingToLearnError(MLBackendError):
    """The project holds no annotation that the backend could learn from; nothing was changed."""


class NothingToPredictError(MLBackendError):
    """No model version answers for the project, or none of its controls is in the project's config."""


class VersionError(MLBackendError):
    """A model version is not there, is damaged, or does not fit the project."""


class ModelLoadingError(MLBackendError):
    """The backbone is still being loaded, or will be tried again."""


class EmbeddingError(MLBackendError):
    """The network failed on an image, or gave it something else than numbers."""


class StoppingError(MLBackendError):
    """The backend is being stopped, and begins nothing new."""


class FetchError(MLBackendError):
    """An image could not be fetched.

    Parameters
    ----------
    reason : str
        A short code for logs and metrics, such as ``missing``, ``timeout`` or ``http_404``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

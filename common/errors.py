"""What can go wrong, as one small tree; every message names the value, its place and the remedy."""


class SuiteError(Exception):
    """The base of all errors that are meant to be read by a person: one line, never a traceback."""

    status: int = 1
    """Exit status of a command that ends with it."""


class SettingsError(SuiteError):
    """A settings file, an environment variable or an option that is missing or cannot be used."""


class FilesError(SuiteError):
    """A file or folder that cannot be read, written or locked, or a disk without room."""


class LabelStudioError(SuiteError):
    """Label Studio could not be reached, refused, failed or answered something unusable."""


class LostAnswerError(LabelStudioError):
    """Label Studio may have done what it was asked, or may be doing it still: its answer did not arrive."""


class RefusedError(LabelStudioError):
    """Label Studio answered a request with an error status.

    Parameters
    ----------
    reason : str
        What Label Studio said about it.
    """

    def __init__(self, message: str, http_status: int, reason: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.reason = reason


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


class ImageRejectedError(SuiteError):
    """An image that is not decoded.

    Parameters
    ----------
    reason : str
        A short code for logs and metrics, such as ``truncated``.
    lasting : bool
        Whether the same bytes would be refused again under the same limits.
    """

    def __init__(self, reason: str, detail: str = "", *, lasting: bool = True) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail, self.lasting = reason, detail, lasting

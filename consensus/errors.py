"""What can go wrong in consensus."""

from common.errors import LabelStudioError, SettingsError, SuiteError

__all__ = ["BackendError", "ConfigError", "LabelStudioError", "SourceError", "StoreError", "VotesError"]


class VotesError(SuiteError):
    """Votes, given labels or trust that cannot be used."""


class SourceError(SuiteError):
    """Images or labels to be imported that cannot be read."""


class ConfigError(SettingsError):
    """A settings file or an option that cannot be used."""


class StoreError(SuiteError):
    """The database cannot be reached, or another run holds the project."""


class BackendError(SuiteError):
    """The ML backend cannot be reached, refuses, or answers what cannot be used.

    Parameters
    ----------
    http_status : int or None
        What it answered.
    """

    def __init__(self, message: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.http_status = http_status

"""What can go wrong in consensus."""

from common.errors import SettingsError, SuiteError


class VotesError(SuiteError):
    """Votes, given labels or trust that cannot be used."""


class ConfigError(SettingsError):
    """A settings file or an option that cannot be used."""


class LabelStudioError(SuiteError):
    """Label Studio refused, failed or answered something unusable."""


class StoreError(SuiteError):
    """The database cannot be reached, or another run holds the project."""

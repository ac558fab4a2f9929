"""What can go wrong, as one small tree; every message names the value, its place and the remedy."""


class SuiteError(Exception):
    """The base of all errors that are meant to be read by a person: one line, never a traceback."""

    status: int = 1
    """Exit status of a command that ends with it."""


class SettingsError(SuiteError):
    """A settings file, an environment variable or an option that is missing or cannot be used."""


class FilesError(SuiteError):
    """A file or folder that cannot be read, written or locked, or a disk without room."""

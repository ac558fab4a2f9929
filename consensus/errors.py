"""What can go wrong, as types; every message names the value, its place and the remedy."""


class ConsensusError(Exception):
    """Base of all errors that are meant to be read by a person."""


class VotesError(ConsensusError):
    """Votes, given labels or trust that cannot be used."""


class ConfigError(ConsensusError):
    """A settings file, an environment variable or an option that cannot be used."""


class LabelStudioError(ConsensusError):
    """Label Studio refused, failed or answered something unusable."""


class StoreError(ConsensusError):
    """The database cannot be reached, or another run holds the project."""

"""Who may call a service at its address."""

from common.serving.server import is_loopback
from consensus.errors import ConfigError

SHORTEST = 16  # characters of a token; fewer can be guessed


def token_for(host: str, token: str, *, without: bool) -> str:
    """Return the token that calls have to show; empty where none is to be asked for.

    Raises
    ------
    ConfigError
        Where there is none and somebody else could call, or it is easily guessed.
    """
    if without:
        if not is_loopback(host):
            raise ConfigError(
                f"--without-token needs an address that this machine alone reaches, as 127.0.0.1, and not {host}: "
                "whoever reaches the service could read votes and write annotations"
            )
        return ""
    if not token:
        raise ConfigError(
            "CONSENSUS_API_TOKEN is not set: calls have to show it. Set it to what "
            "`python3 -c 'import secrets; print(secrets.token_urlsafe(32))'` prints; for this machine alone "
            "--without-token goes without"
        )
    if len(token) < SHORTEST:
        raise ConfigError(f"CONSENSUS_API_TOKEN has {len(token)} characters; take at least {SHORTEST}")
    return token

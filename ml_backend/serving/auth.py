"""Who may call the backend, and under which name: those who show the account or the token of its settings."""

from urllib.parse import urlsplit

from common.serving.credentials import Credentials
from common.serving.hosts import Hosts
from common.serving.server import is_loopback
from ml_backend.settings import Settings

_OF_STRANGERS = 50_000_000  # bytes


def credentials(settings: Settings) -> Credentials:
    """Return what a call has to show."""
    return Credentials(
        realm="ML backend",
        user=settings.basic_user,
        password=settings.basic_password.get_secret_value(),
        token=settings.token.get_secret_value(),
    )


def largest_request(settings: Settings) -> int:
    """Return the bytes of a body that are read: of strangers, where they reach it, only as much as is needed.

    Label Studio's request for 20,000 tasks, the most that are taken, has 50 MB if a task has 2.5 kB, of
    which half a kilobyte is not its data.
    """
    is_set = "max_request_bytes" in settings.model_fields_set
    if is_set or credentials(settings) or is_loopback(settings.host):
        return settings.max_request_bytes
    return min(settings.max_request_bytes, _OF_STRANGERS)


def hosts(settings: Settings) -> Hosts | None:
    """Return the names under which it answers; any where credentials keep web pages out and no name is set."""
    if credentials(settings) and not settings.served_hosts:
        return None
    own = urlsplit(settings.public_url).hostname or ""
    return Hosts.parse(settings.served_hosts, "ML_BACKEND_ALLOWED_HOSTS", own)


def webhook_headers(settings: Settings) -> dict[str, str]:
    """Return the headers with which a webhook of Label Studio is let in; none where everybody may call."""
    return credentials(settings).headers()

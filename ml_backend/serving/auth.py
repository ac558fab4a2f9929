"""Who may call the backend: those who show the account or the token of its settings."""

from common.serving.credentials import Credentials
from ml_backend.settings import Settings


def credentials(settings: Settings) -> Credentials:
    """Return what a call has to show."""
    return Credentials(
        realm="ML backend",
        user=settings.basic_user,
        password=settings.basic_password.get_secret_value(),
        token=settings.token.get_secret_value(),
    )


def webhook_headers(settings: Settings) -> dict[str, str]:
    """Return the headers with which a webhook of Label Studio is let in; none where everybody may call."""
    return credentials(settings).headers()

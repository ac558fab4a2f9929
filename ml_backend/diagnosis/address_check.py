"""Whether an address is this backend's, as far as that is seen from here, before Label Studio is given it."""

from collections.abc import Mapping

import httpx

from common.errors import SettingsError
from ml_backend.core.versions import MODEL_CLASS
from ml_backend.diagnosis.replies import ask
from ml_backend.diagnosis.state import Reply
from ml_backend.label_studio.backend_address import same_server, shorter_addresses, without_password
from ml_backend.label_studio.connection_faults import another_backend

_OK, _UNAUTHORIZED = 200, 401


def check_address(
    connections: httpx.Client, url: str, headers: Mapping[str, str], instance: str, label_studio_url: str
) -> None:
    """Refuse an address at which something else answers; where nothing answers from here, Label Studio tries it.

    Parameters
    ----------
    headers : mapping of str to str
        With which the backend lets in.
    instance : str
        Its identity; empty where that is not known.

    Raises
    ------
    SettingsError
        With the address that was perhaps meant.
    """
    reply = ask(connections, f"{url}/health", headers)
    if not reply.answered:
        return
    if is_backend(reply):
        if instance and str((reply.body or {}).get("instance") or instance) != instance:
            raise another_backend(url)
        return
    shown = without_password(url)
    if _UNAUTHORIZED in (reply.status, ask(connections, f"{url}/versions", headers).status):
        raise SettingsError(
            f"what answers at {shown} asks for a login that this command does not know, and nothing was changed: "
            "run it with the same ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD as the backend"
        )
    program = "Label Studio itself" if same_server(url, label_studio_url) else "no ML backend of this kind"
    meant = next(
        (each for each in shorter_addresses(url) if is_backend(ask(connections, f"{each}/health", headers))), ""
    )
    remedy = (
        f"the backend's address is {without_password(meant)}"
        if meant
        else "give the address at which `ml-backend serve` answers"
    )
    raise SettingsError(f"{shown} is {program}, and nothing was changed: {remedy} (--url, ML_BACKEND_PUBLIC_URL)")


def is_backend(reply: Reply) -> bool:
    """Return whether an ML backend of this kind has answered."""
    return reply.status == _OK and (reply.body or {}).get("model_class") == MODEL_CLASS

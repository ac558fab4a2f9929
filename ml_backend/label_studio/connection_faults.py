"""What can be wrong with a project's connection and its webhook, in words and with the remedy."""

from collections.abc import Iterator, Mapping

from common.errors import SettingsError
from common.label_studio.rows import ConnectionRow, Webhook
from ml_backend.errors import RefusedError
from ml_backend.label_studio.backend_address import (
    host_of,
    is_private,
    is_slip_of,
    same_address,
    shorter_addresses,
    webhook_refusal,
    without_password,
)

LATE = "annotations are learned late, only when the backend looks for lost events (every ML_BACKEND_RECONCILE_S)"
PRIVATE_ALLOWED = (
    "with the backend's address left out of what it refuses (USE_DEFAULT_BANNED_SUBNETS=false and "
    "USER_ADDITIONAL_BANNED_SUBNETS, see docs/ml-backend.md), or, on a machine of your own, with both "
    "ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false"
)
DOTTED_ALIAS = (
    "give the backend a name with a dot, such as ml-backend.internal (in docker compose: networks: default: "
    "aliases:), set ML_BACKEND_PUBLIC_URL to it, and connect again"
)
# Annotations that are imported with their tasks come as TASKS_CREATED; each deletion as ANNOTATIONS_DELETED.
EVENTS = frozenset(
    {
        "ANNOTATION_CREATED",
        "ANNOTATION_UPDATED",
        "ANNOTATIONS_CREATED",
        "ANNOTATIONS_DELETED",
        "PROJECT_UPDATED",
        "TASKS_CREATED",
        "TASKS_DELETED",
    }
)

_FORBIDDEN, _INVALID, _FAILED = 403, 400, 500
_AUTHORIZATION = "authorization"


def webhook_faults(
    webhook: Webhook, address: str, events: frozenset[str], headers: Mapping[str, str]
) -> Iterator[str]:
    """Name what keeps a webhook from sending just what training needs.

    Parameters
    ----------
    address : str
        Where it should send.
    events : frozenset of str
        What it should send.
    headers : mapping of str to str
        With which the backend lets it in.
    """
    if not same_address(webhook.url, address):
        yield f"sends to {without_password(webhook.url)}"
    if not webhook.active:
        yield "switched off"
    if not webhook.with_payload:
        yield "does not say which project changed"
    if webhook.all_actions:
        yield "sends all events"
    elif missing := events - webhook.actions:
        yield f"does not send {', '.join(sorted(missing))}"
    elif more := webhook.actions - events:
        yield f"sends {', '.join(sorted(more))} too"
    sent = {name.lower(): value for name, value in webhook.headers.items()}
    if any(sent.get(name.lower()) != value for name, value in headers.items()):
        yield "has an outdated login" if _AUTHORIZATION in sent else "has no login"


def is_left_over(webhook: Webhook, url: str, events: frozenset[str]) -> bool:
    """Return whether a webhook that no connection has was made for this backend, or for a slip in its address.

    Parameters
    ----------
    url : str
        The backend's address: a webhook to a path below or above it is its own, too.
    events : frozenset of str
        What `ml-backend connect` lets a webhook send.
    """
    if not may_train(webhook):
        return False
    as_made_here = webhook.with_payload and not webhook.all_actions and webhook.actions == events
    return as_made_here or is_slip_of(webhook.url.rstrip("/").removesuffix("/webhook"), url)


def may_train(webhook: Webhook) -> bool:
    """Return whether a webhook may be that of an ML backend; that of `consensus serve` tells of no annotation."""
    tells = webhook.all_actions or any(action.startswith("ANNOTATION") for action in webhook.actions)
    return tells and webhook.url.rstrip("/").endswith("/webhook")


def merged_headers(present: Mapping[str, str], desired: Mapping[str, str]) -> dict[str, str]:
    """Set headers and leave others, which a proxy may need.

    Examples
    --------
    >>> merged_headers({"X-Proxy": "1", "authorization": "old"}, {"Authorization": "new"})
    {'X-Proxy': '1', 'Authorization': 'new'}
    """
    replaced = {name.lower() for name in desired}
    return {name: value for name, value in present.items() if name.lower() not in replaced} | dict(desired)


def no_webhook(address: str) -> str:
    """Return why there is likely no webhook for an address that Label Studio connects, and what to do."""
    if why := webhook_refusal(address):
        return f"Label Studio makes no webhook for this address: {why}. Without it {LATE}: {DOTTED_ALIAS}"
    return ""


def unhealthy(row: ConnectionRow) -> str:
    """Return why Label Studio cannot use a connection, and what to do."""
    if row.unauthorized:
        return (
            "the backend refuses Label Studio's login (401): run `ml-backend connect` with the same "
            "ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD as the backend"
        )
    if row.reason:
        return f"Label Studio got no version from it: {row.reason}"
    return unreachable(row.url)


def unreachable(url: str) -> str:
    """Say what to do about an address that Label Studio cannot reach."""
    advice = f"Label Studio gets no answer from {without_password(url)}: is the backend running, and is this its "
    advice += "address as seen from Label Studio?"
    if host_of(url) in ("localhost", "127.0.0.1", "::1"):
        advice += " In a container, localhost is the container itself."
    if is_private(url) is not False:
        advice += f" Label Studio reaches private addresses only if it was started {PRIVATE_ALLOWED}."
    return advice


def another_backend(url: str) -> SettingsError:
    """Return the error where a backend answers whose data lie elsewhere."""
    return SettingsError(
        f"another ML backend answers at {without_password(url)} than the one that keeps its data in "
        "ML_BACKEND_DATA_DIR, and nothing was changed: give this backend's address, or run this command with the "
        "data folder of the one that answers"
    )


def explained(error: RefusedError, url: str) -> RefusedError:
    """Return a refusal of a connection or a webhook with its remedy."""
    shown = without_password(url)
    if error.http_status == _FORBIDDEN:
        sentence = (
            f"Label Studio refuses {shown}: private and loopback addresses are allowed only if it was started "
            f"{PRIVATE_ALLOWED}. Start it so and run this command again"
        )
    elif error.http_status == _INVALID and "health check failed" in error.reason:
        sentence = unreachable(url)
        if shorter := shorter_addresses(url):
            sentence += (
                f" It has a path, which few backends have: perhaps {without_password(shorter[-1])} is meant."
            )
    elif error.http_status == _INVALID and "401" in error.reason:
        sentence = (
            f"the backend at {shown} asks for a login that this command does not know: run it with the same "
            "ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD as the backend"
        )
    elif error.http_status == _INVALID and "valid URL" in error.reason:
        sentence = no_webhook(url) or f"Label Studio takes {shown} for no address: {DOTTED_ALIAS}"
    elif error.http_status == _FAILED and "resolve" in error.reason:
        sentence = (
            f"Label Studio does not know the host {host_of(url)!r}: give an address that it can reach (--url)"
        )
    else:
        sentence = f"Label Studio refused {shown} with {error.http_status}: {error.reason or error}"
    return RefusedError(sentence, error.http_status, error.reason)

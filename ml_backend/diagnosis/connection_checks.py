"""Checks of a project's connection and webhook, as Label Studio has them."""

from collections.abc import Callable, Iterator

from common.doctor import Finding, fine, problem, warning
from common.label_studio.rows import Webhook
from ml_backend.diagnosis.state import ProjectState
from ml_backend.label_studio.backend_address import is_private, same_address, webhook_address, without_password
from ml_backend.label_studio.connection_faults import (
    LATE,
    PRIVATE_ALLOWED,
    may_train,
    no_webhook,
    unhealthy,
    webhook_faults,
)


def connection(state: ProjectState) -> Iterator[Finding]:
    """Look whether there is one connection to this backend, and whether Label Studio can use it."""
    row = state.row
    if row is None:
        elsewhere = ", ".join(without_password(row.url) for row in state.moved or state.rows)
        remedy = state.connect
        if is_private(state.backend.url) is not False:
            remedy += f" (Label Studio accepts private addresses only if started {PRIVATE_ALLOWED})"
        if state.moved:
            yield problem(
                f"connected to this backend at {elsewhere}, not at {without_password(state.backend.url)}",
                "a new version cannot be shown: it is not known which connection is its own",
                f"{remedy}, or set ML_BACKEND_PUBLIC_URL to the address that is connected",
            )
        else:
            yield problem(
                f"not connected to this backend{f', only to {elsewhere}' if elsewhere else ''}",
                "annotators get no suggestions from it, and it learns nothing",
                remedy,
            )
        return
    if len(state.ours) > 1:
        addresses = ", ".join(without_password(row.url) for row in state.ours)
        yield problem(
            f"{len(state.ours)} connections to this backend: {addresses}",
            "each task is asked for more than once, and its predictions are there several times",
            state.connect,
        )
    if not row.works:
        yield problem(
            f"Label Studio cannot use {without_password(row.url)}",
            "annotators get no new suggestions",
            _password_is_old(state) or unhealthy(row),
        )
    elif not row.follows_version:
        yield problem(
            "the connection does not take the backend's newest version",
            "suggestions of a new version look as if they were of an old one",
            state.connect,
        )
    else:
        yield fine(f"Label Studio reaches {without_password(row.url)}")


def other_connections(state: ProjectState) -> Iterator[Finding]:
    """Look for connections to other backends that do not answer."""
    for row in state.rows:
        if row not in state.ours and not row.works:
            yield warning(
                f"another connection, {without_password(row.url)} ({row.title}), does not answer",
                "Label Studio tries it before each task that an annotator opens",
                "remove it under Settings > Model if it is not needed",
            )


def webhook(state: ProjectState) -> Iterator[Finding]:
    """Look whether events arrive at the backend once, with its login, and no more of them than needed."""
    if state.row is None:
        return
    address = webhook_address(state.row.url)
    ours = [hook for hook in state.webhooks if same_address(hook.url, address)]
    own = [hook for hook in ours if hook.project_id is not None]
    if not ours:
        yield _missing(state, address)
        return
    if len(ours) > 1:
        shared = " (one of them for all projects: Organization > Webhooks)" if len(own) < len(ours) else ""
        yield problem(
            f"{len(ours)} webhooks to {without_password(address)}{shared}",
            "each event arrives several times, and an annotator's submit waits for each",
            state.connect if len(own) > 1 else "remove the one for all projects",
        )
    faults = list(webhook_faults((own or ours)[0], address, state.events, state.backend.headers))
    if faults:
        yield problem(f"the webhook {'; '.join(faults)}", _why(faults), state.connect)
    else:
        yield fine(f"{len(state.events)} kinds of events go to {without_password(address)}")


def stray_webhooks(state: ProjectState) -> Iterator[Finding]:
    """Look for webhooks that are left of connections that are gone."""
    addresses = [webhook_address(row.url) for row in state.rows]
    for hook in state.webhooks:
        if hook.active and _is_stray(hook, addresses):
            yield warning(
                f"a webhook sends to {without_password(hook.url)}, which no connection has",
                "an annotator's submit waits for it, up to a second if nothing answers there",
                "remove it under Settings > Webhooks if it is left of an old connection",
            )


def training_requests(state: ProjectState) -> Iterator[Finding]:
    """Look whether Label Studio asks for trainings a second time by itself."""
    if state.project.training_every:
        yield problem(
            f"each {state.project.training_every}th annotation also sends START_TRAINING",
            "the webhook reports each annotation already: an annotator's submit waits for a second request",
            state.connect,
        )


CHECKS: dict[str, Callable[[ProjectState], Iterator[Finding]]] = {
    "connection": connection,
    "other connections": other_connections,
    "webhook": webhook,
    "stray webhooks": stray_webhooks,
    "training requests": training_requests,
}


def _password_is_old(state: ProjectState) -> str:
    """Say so where the backend answers us with the login that Label Studio should have."""
    row, backend = state.row, state.backend
    if row is None or not backend.account or not backend.health.answered or row.reason:
        return ""
    return (
        f"{state.connect}: the backend answers from here, so its password may have changed since; if that does "
        f"not help: {unhealthy(row)}"
    )


def _missing(state: ProjectState, address: str) -> Finding:
    remedy = no_webhook(address) or state.connect
    if not no_webhook(address) and is_private(address) is not False:
        remedy += (
            f"; if it is refused, start Label Studio {PRIVATE_ALLOWED}; with only one of these two it leaves a "
            "half-made connection without a webhook"
        )
    return problem(
        "there is no webhook to this backend",
        f"suggestions are shown, but {LATE}",
        remedy,
    )


def _why(faults: list[str]) -> str:
    listed = " ".join(faults)
    if "login" in listed:
        return f"the backend answers 401 to each event: {LATE}"
    if "all events" in listed or " too" in listed:
        return "an annotator's submit waits for each request, also for those that the backend ignores"
    return f"the backend does not hear of all annotations: {LATE}"


def _is_stray(hook: Webhook, addresses: list[str]) -> bool:
    return (
        hook.project_id is not None
        and may_train(hook)
        and not any(same_address(hook.url, each) for each in addresses)
    )

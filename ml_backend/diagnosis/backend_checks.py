"""Checks of this backend: whether it answers, with which weights, to whom, and whether it can keep its models."""

from collections.abc import Callable, Iterator

from common.doctor import Finding, fine, problem, warning
from ml_backend.core.versions import RANDOM
from ml_backend.diagnosis.state import BackendState
from ml_backend.embedding.exporting import NO_ENGINE
from ml_backend.label_studio.backend_address import is_private, webhook_refusal, without_password
from ml_backend.label_studio.connection_faults import DOTTED_ALIAS, LATE, PRIVATE_ALLOWED

_SCARCE, _FULL = 1_000_000_000, 100_000_000  # bytes
_OK, _UNAUTHORIZED = 200, 401


def address(state: BackendState) -> Iterator[Finding]:
    """Look whether Label Studio would accept the address for predictions and for events."""
    if not state.url:
        yield warning(
            "ML_BACKEND_PUBLIC_URL not set",
            "a project's connection to this backend can only be guessed, and not at all where there are several",
            "set it to this backend's address as seen from Label Studio",
        )
    elif why := webhook_refusal(state.url):
        yield problem(
            f"{without_password(state.url)}: {why}",
            f"Label Studio connects it but silently makes no webhook: {LATE}",
            DOTTED_ALIAS,
        )
    elif is_private(state.url):
        yield fine(f"{without_password(state.url)}, private: Label Studio has to be started {PRIVATE_ALLOWED}")
    else:
        yield fine(without_password(state.url))


def health(state: BackendState) -> Iterator[Finding]:
    """Look whether the backend answers here."""
    if not state.url:
        return
    reply = state.health
    if not reply.answered:
        yield warning(
            f"nothing answers from here at {without_password(state.url)}: {reply.error}",
            "Label Studio may reach it all the same (see each project's connection); what it says of itself is "
            "not checked",
            "start it (ml-backend serve), or run this command where that address leads to it",
        )
    elif reply.status == _UNAUTHORIZED:
        yield problem(
            "the backend refuses the login of this command's settings",
            "settings of the backend and of its commands differ: what `ml-backend connect` writes gets nobody in",
            "run this command with the backend's own ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD",
        )
    elif reply.status != _OK or reply.body is None or reply.body.get("status") != "UP":
        yield problem(
            f"what answers {reply.status} at {without_password(state.url)}/health is no ML backend",
            "Label Studio will refuse or drop the connection",
            "set ML_BACKEND_PUBLIC_URL to this backend's address",
        )
    else:
        engine = reply.body.get("engine")
        yield fine("it is up" + (f" and computes with {engine}" if engine else ""))


def weights(state: BackendState) -> Iterator[Finding]:
    """Look whether the backbone has the weights that it should have."""
    health = state.health.body or {}
    if "weights" not in health:
        return
    error = health.get("error")
    if error and str(error).startswith(NO_ENGINE):
        yield problem(
            f"the backbone cannot be exported: {error}",
            "nothing is suggested for images that were not embedded before",
            "let the data folder have room and be writable: the export is tried again by itself. Where torch "
            "cannot export at all, ML_BACKEND_ENGINE=torch computes with torch, which is slower",
        )
    elif error:
        yield problem(
            f"the backbone cannot be loaded: {error}",
            "nothing is suggested for images that were not embedded before",
            "if it names another remedy, take that; else set ML_BACKEND_BACKBONE and ML_BACKEND_WEIGHTS to "
            "what there is (docs/ml-backend.md lists them: auto and imagenet need nothing), and start the backend "
            "again",
        )
    elif health["weights"] == RANDOM and state.weights != RANDOM:
        yield problem(
            f"ML_BACKEND_WEIGHTS is {state.weights}, and random ones answer: the download failed",
            "random weights see little in an image: suggestions are far worse",
            "let the backend reach download.pytorch.org once, or put the checkpoint into the folder weights of "
            "its data folder, or give the path of a state dict, or set ML_BACKEND_BACKBONE to efficientnet-lite0, "
            "which needs no download; then start it again and train. If random weights are meant, say so: "
            "ML_BACKEND_WEIGHTS=random",
        )
    elif not health.get("model_loaded"):
        yield warning(
            "the backbone is still being loaded", "until then new images get no suggestion", "wait a moment"
        )
    else:
        yield fine(f"{health.get('backbone')} with the weights {health['weights']}")


def login(state: BackendState) -> Iterator[Finding]:
    """Look whether the backend asks for what Label Studio can send."""
    if state.headers and not state.account:
        yield problem(
            "the backend asks for a bearer token only (ML_BACKEND_TOKEN)",
            "Label Studio cannot send one to /predict: its connections know only HTTP basic",
            "set ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD as well, then connect each project again",
        )
    elif state.headers and state.versions_without_login.status == _OK:
        yield problem(
            "the running backend lets everybody in, although a login is configured here",
            "whoever reaches it can read versions and ask for trainings",
            "start it again with the same settings",
        )
    elif not state.headers and state.versions.status == _UNAUTHORIZED:
        yield problem(
            "the running backend asks for a login, and none is configured here",
            "what `ml-backend connect` writes from here would not get in",
            "run this command with the backend's own ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD",
        )
    elif not state.headers and state.versions.status == _OK and is_private(state.url) is False:
        yield warning(
            "the backend has a public address and lets everybody in",
            "whoever reaches it can let it fetch images and ask for trainings",
            "set ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD, then connect each project again",
        )
    elif state.versions.answered:
        yield fine(f"as {state.account}" if state.account else "none is asked for")


def data_folder(state: BackendState) -> Iterator[Finding]:
    """Look whether models and embeddings can be kept."""
    folder = state.folder
    if not folder.exists:
        yield warning(
            f"there is no folder {folder.path} here",
            "the backend keeps its models elsewhere, or was never started: what it keeps is not checked",
            "run this command where the backend runs, with its ML_BACKEND_DATA_DIR",
        )
    elif not folder.writable:
        yield problem(
            f"{folder.path} cannot be written",
            "no training can be kept, and each image is embedded again and again",
            "let the backend's account write it, or set ML_BACKEND_DATA_DIR to another folder",
        )
    elif folder.free_bytes < _SCARCE:
        say = problem if folder.free_bytes < _FULL else warning
        yield say(
            f"{folder.path} has {folder.free_bytes / 1e9:.2f} GB left",
            "a full disk ends training; the last version goes on answering",
            "free some space, or set ML_BACKEND_DATA_DIR to a larger disk",
        )
    else:
        yield fine(f"{folder.path}, {folder.free_bytes / 1e9:.0f} GB left")


def waiting_trainings(state: BackendState) -> Iterator[Finding]:
    """Look whether requested trainings are begun."""
    if state.waiting:
        projects = ", ".join(map(str, state.waiting))
        yield problem(
            f"trainings of project {projects} were asked for long ago and have not begun",
            "annotations do not become suggestions",
            "look for training_interrupted and training_given_up in the backend's log, and start it again",
        )


CHECKS: dict[str, Callable[[BackendState], Iterator[Finding]]] = {
    "address": address,
    "health": health,
    "weights": weights,
    "login": login,
    "data folder": data_folder,
    "waiting trainings": waiting_trainings,
}

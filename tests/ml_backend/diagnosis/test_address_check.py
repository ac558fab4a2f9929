import re
from collections.abc import Mapping

import httpx
import pytest

from common.errors import SettingsError
from ml_backend.core.versions import MODEL_CLASS
from ml_backend.diagnosis.address_check import check_address

URL, STUDIO = "http://ml.example.org:9090", "http://studio.example.org:8080"
UP = httpx.Response(200, json={"status": "UP"})
OURS = httpx.Response(200, json={"status": "UP", "model_class": MODEL_CLASS, "instance": "00c0ffee"})
REFUSED = httpx.Response(401, json={"detail": "login"})


def check(answers: Mapping[str, httpx.Response], url: str = URL, instance: str = "00c0ffee") -> None:
    """Check an address where these answer, and nothing else does."""

    def answer(request: httpx.Request) -> httpx.Response:
        return answers.get(str(request.url), httpx.Response(404, text="<html>not found</html>"))

    with httpx.Client(transport=httpx.MockTransport(answer)) as connections:
        check_address(connections, url, {}, instance, STUDIO)


@pytest.mark.parametrize("instance", ["00c0ffee", ""])
def test_this_backend_is_known(instance: str) -> None:
    """By its identity, where that is known here."""
    check({f"{URL}/health": OURS}, instance=instance)


@pytest.mark.parametrize("path", ["/health", "/predict", "/a/b"])
def test_a_path_too_much_is_named(path: str) -> None:
    """The remedy is the address without it."""
    with pytest.raises(
        SettingsError, match=rf"nothing was changed: the backend's address is {re.escape(URL)} \(--url"
    ):
        check({f"{URL}/health": OURS}, URL + path)


@pytest.mark.parametrize(
    ("answers", "url", "message"),
    [
        ({f"{STUDIO}/health": UP}, STUDIO, "is Label Studio itself, and nothing was changed"),
        ({f"{STUDIO}/health": UP}, f"{STUDIO}/projects/7", "is Label Studio itself, and nothing was changed"),
        ({f"{URL}/health": UP}, URL, "is no ML backend of this kind, and nothing was changed"),
        ({}, URL, "give the address at which `ml-backend serve` answers"),
        ({f"{URL}/health": REFUSED}, URL, "asks for a login that this command does not know"),
        ({f"{URL}/health": UP, f"{URL}/versions": REFUSED}, URL, "ML_BACKEND_BASIC_PASSWORD as the backend"),
    ],
)
def test_another_program_is_refused(answers: Mapping[str, httpx.Response], url: str, message: str) -> None:
    """Label Studio itself, another service, a page, or a backend that lets nobody in."""
    with pytest.raises(SettingsError, match=re.escape(message)):
        check(answers, url)


def test_another_backend_is_refused() -> None:
    """One of this kind whose data lie elsewhere."""
    with pytest.raises(SettingsError, match="another ML backend answers at"):
        check({f"{URL}/health": OURS}, instance="0badcafe")


def test_what_does_not_answer_from_here_is_left_to_label_studio() -> None:
    """In a network of containers the backend has a name that is not known outside."""

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with httpx.Client(transport=httpx.MockTransport(refuse)) as connections:
        check_address(connections, f"{URL}/health", {}, "00c0ffee", STUDIO)

import pytest

from common.errors import SettingsError
from common.label_studio.rows import Login
from ml_backend.errors import RefusedError
from ml_backend.label_studio.backend_address import same_address
from ml_backend.label_studio.connecting import NEW_TITLE, DesiredConnection
from ml_backend.label_studio.connection_faults import EVENTS, explained
from ml_backend.serving.routes import TRAINING_ACTIONS

URL = "http://me:secret@ml-backend.internal:9090"


def test_a_webhook_sends_what_the_backend_acts_on() -> None:
    """All that Label Studio can send of it: START_TRAINING is none of its events, nor is a single deletion."""
    assert (TRAINING_ACTIONS - {"START_TRAINING", "ANNOTATION_DELETED"}) | {"PROJECT_UPDATED"} == EVENTS


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (
            403,
            "URL resolves to a reserved network address",
            "ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false",
        ),
        (400, "Can't connect to ML backend, health check failed.", "is the backend running"),
        (400, "Reason: 401 Client Error: UNAUTHORIZED", "ML_BACKEND_BASIC_USER"),
        (500, "Can't resolve hostname ml-backend.internal", "does not know the host 'ml-backend.internal'"),
        (400, "Enter a valid URL.", "give the backend a name with a dot"),
        (418, "something new", "with 418: something new"),
    ],
)
def test_a_refusal_is_explained(status: int, reason: str, words: str) -> None:
    """What Label Studio says becomes what helps, and no password of an address is told."""
    sentence = str(explained(RefusedError("refused", status, reason), URL))
    assert words in sentence
    assert "secret" not in sentence


def test_what_label_studio_cannot_send_is_refused() -> None:
    """A token alone, and letters that HTTP basic of Label Studio has no place for."""
    with pytest.raises(SettingsError, match="ML_BACKEND_BASIC_USER and ML_BACKEND_BASIC_PASSWORD as well"):
        DesiredConnection(7, URL, headers={"Authorization": "Bearer t0ken"})
    with pytest.raises(SettingsError, match="Latin-1"):
        DesiredConnection(7, URL, login=Login("me", "пароль"), headers={"Authorization": "Basic eA=="})
    assert "pässword" not in repr(DesiredConnection(7, URL, login=Login("me", "pässword"), title=NEW_TITLE))


@pytest.mark.parametrize(
    "other", ["http://ml.internal:9091", "https://ml.internal", "http://ml.internal/x", "http://["]
)
def test_other_addresses_are_other_places(other: str) -> None:
    """Port, scheme and path count."""
    assert not same_address("http://ml.internal", other)

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic_settings import SettingsConfigDict
from structlog.testing import capture_logs

from common import settings
from common.errors import SettingsError
from common.settings import LabelStudioSettings, read


class Own(LabelStudioSettings):
    """Settings of some program."""

    model_config = SettingsConfigDict(env_prefix="OWN_")
    prefix = "OWN_"
    options: ClassVar[dict[str, str]] = {"port": "--port", "deep_folder": "--folder"}
    port: int = 1
    deep_folder: Path = Path()


@pytest.fixture(autouse=True)
def _unwarned() -> None:
    """Each test sees its own warnings."""
    settings._warn_unknown.cache_clear()


@pytest.mark.parametrize(
    ("environment", "file", "options", "message"),
    [
        ({"OWN_PORT": "high"}, "", {}, "cannot use the settings: OWN_PORT: Input should be"),
        ({}, "OWN_PORT=high", {}, r"OWN_PORT in \.env: Input should be"),
        ({"OWN_PORT": "high"}, "OWN_PORT=2", {}, "OWN_PORT: Input should be"),
        ({"OWN_PORT": "2"}, "", {"port": "high"}, "--port: Input should be"),
        ({}, "", {"deep_folder": 3.5}, "--folder: "),
        ({"LABEL_STUDIO_URL": "studio:8080"}, "", {}, "LABEL_STUDIO_URL: 'studio:8080' must start with http://"),
        ({"LABEL_STUDIO_API_KEY": "a b"}, "", {}, "LABEL_STUDIO_API_KEY: must be ASCII without blanks"),
    ],
)
def test_a_fault_names_the_variable_and_its_place_or_the_option(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    file: str,
    options: dict[str, object],
    message: str,
) -> None:
    """With the whole prefix, so that a grep finds it."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    Path(".env").write_text(file)
    with pytest.raises(SettingsError, match=message):
        read(Own, options)


def test_a_misspelt_variable_is_said_with_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, from the environment or the file; variables of others are nobody's business."""
    monkeypatch.setenv("OWN_PROT", "2")
    monkeypatch.setenv("OWNER", "me")
    Path(".env").write_text("OWN_XYZZY=1\nOTHER=1\nOWN_PORT=3\n")
    with capture_logs() as lines:
        assert [read(Own).port, read(Own).port] == [3, 3]
    assert [line["event"] for line in lines] == [
        "OWN_PROT in the environment is no setting and has no effect; did you mean OWN_PORT?",
        "OWN_XYZZY in .env is no setting and has no effect",
    ]


@pytest.mark.parametrize(
    ("environment", "file", "key"),
    [
        ({"KEY": "outside"}, {"URL": "http://file"}, ""),
        ({"KEY": "outside"}, {"URL": "http://file", "KEY": "inside"}, ""),
        ({"KEY": "outside", "URL": "http://mine"}, {"URL": "http://file"}, "outside"),
        ({}, {"URL": "http://file", "KEY": "inside"}, "inside"),
        ({"URL": "http://mine"}, {"KEY": "inside"}, "inside"),
    ],
)
def test_a_key_of_the_environment_is_not_sent_where_a_file_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], file: dict[str, str], key: str
) -> None:
    """Whoever writes a `.env` into a folder would else get the key of who works there."""
    names = {"URL": "LABEL_STUDIO_URL", "KEY": "LABEL_STUDIO_API_KEY"}
    for name, value in environment.items():
        monkeypatch.setenv(names[name], value)
    Path(".env").write_text("".join(f"{names[name]}={value}\n" for name, value in file.items()))
    settings = read(Own)
    assert settings.label_studio_api_key.get_secret_value() == key
    if key:
        settings.require_label_studio()
    else:
        with pytest.raises(SettingsError, match="a key is sent only to the address that is named beside it"):
            settings.require_label_studio()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"OWN_PORT=\xe9\n"), r"\.env is no UTF-8 text"),
        (lambda path: path.write_text("OWN_PORT="), None),
    ],
)
def test_a_file_of_variables_is_text(make: object, message: str | None) -> None:
    """What is no text is named; an empty variable is none."""
    make(Path(".env"))
    if message is None:
        assert read(Own).port == 1
    else:
        with pytest.raises(SettingsError, match=message):
            read(Own)

from pathlib import Path

import pytest

from common.errors import SettingsError
from common.images.addresses import AllowedHosts
from ml_backend.core.suggestions import Ticking
from ml_backend.settings import Settings, get_settings, read_settings


def test_settings_come_from_the_environment_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Label Studio's two variables have no prefix, all others have; a slash at the end does not matter."""
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://label-studio.example/")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "secret-key")
    monkeypatch.setenv("ML_BACKEND_PORT", "9191")
    get_settings.cache_clear()
    settings = get_settings()
    get_settings.cache_clear()
    assert (settings.label_studio_url, settings.port) == ("http://label-studio.example", 9191)
    assert settings.missing == []


def test_a_given_value_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option of the command line is stronger than a variable."""
    monkeypatch.setenv("ML_BACKEND_PORT", "9191")
    monkeypatch.setenv("ML_BACKEND_WORKERS", "3")
    settings = read_settings(port=9292)
    assert (settings.port, settings.workers) == (9292, 3)


def test_the_hosts_of_images_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of hosts is read from its variable; without it no host is allowed."""
    monkeypatch.setenv("ML_BACKEND_IMAGE_HOSTS", "images.example, 10.0.0.5:8080")
    assert read_settings().allowed_hosts.names == {("images.example", None)}
    monkeypatch.setenv("ML_BACKEND_IMAGE_HOSTS", "")
    assert read_settings().allowed_hosts == AllowedHosts()


def test_what_is_ticked_is_set_for_all_controls_or_for_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """One number, or JSON by control; what is no share is refused."""
    monkeypatch.setenv("ML_BACKEND_LEAST_SCORE", "0.75")
    monkeypatch.setenv("ML_BACKEND_LEAST_ACCURACY", '{"kind": 0.25}')
    assert read_settings().ticking == Ticking(0.75, {"kind": 0.25})
    monkeypatch.setenv("ML_BACKEND_LEAST_SCORE", '{"kind": 75}')
    with pytest.raises(SettingsError, match=r"ML_BACKEND_LEAST_SCORE: .*a number from 0 to 1"):
        read_settings()


@pytest.mark.parametrize("name", ["QUIET_S", "MODEL_WAIT_S", "EXPORT_TIMEOUT_S", "RECHECK_S"])
@pytest.mark.parametrize("value", ["inf", "nan", "1e10", "-1"])
def test_a_time_that_no_clock_knows_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Whether it is endless, none or too long to wait for."""
    monkeypatch.setenv(f"ML_BACKEND_{name}", value)
    with pytest.raises(SettingsError, match=f"ML_BACKEND_{name}: Input should be"):
        read_settings()


def test_a_wrong_host_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the setting and the entry that is wrong."""
    monkeypatch.setenv("ML_BACKEND_IMAGE_HOSTS", "images.example, https://b.example")
    with pytest.raises(SettingsError, match=r"IMAGE_HOSTS: .*'https://b\.example'"):
        read_settings()


def test_the_folder_of_local_files_is_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing, or an absolute path of a folder that is there and is not the whole disk."""
    monkeypatch.setenv("ML_BACKEND_LOCAL_FILES_DIR", "")
    assert read_settings().local_files_dir is None
    monkeypatch.setenv("ML_BACKEND_LOCAL_FILES_DIR", str(tmp_path))
    assert read_settings().local_files_dir == tmp_path
    for wrong in ("/", ".", "files", str(tmp_path / "gone")):
        monkeypatch.setenv("ML_BACKEND_LOCAL_FILES_DIR", wrong)
        with pytest.raises(SettingsError, match="LOCAL_FILES_DIR"):
            read_settings()


def test_no_settings_of_the_repository_are_read() -> None:
    """A ``.env`` beside the sources, which a person may have, does not reach the tests."""
    assert not Path(".env").exists()
    assert not Path("pyproject.toml").exists()


def test_the_key_is_not_shown() -> None:
    """Printing the settings does not print the key."""
    assert "secret-key" not in repr(Settings.model_validate({"label_studio_api_key": "secret-key"}))


def test_what_is_missing_is_named() -> None:
    """Without an address and a key, the message names both variables."""
    settings = Settings.model_validate({"label_studio_url": "", "label_studio_api_key": ""})
    with pytest.raises(SettingsError, match="LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"):
        settings.require_label_studio()


def test_a_wrong_value_is_named_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the setting and the fault, not the value, which may be a secret put in the wrong place."""
    monkeypatch.setenv("ML_BACKEND_PORT", "secret-key")
    get_settings.cache_clear()
    with pytest.raises(SettingsError, match="PORT") as wrong:
        get_settings()
    get_settings.cache_clear()
    assert "secret-key" not in str(wrong.value)


@pytest.mark.parametrize("url", ["label-studio:8080", "file:///etc", "ftp://x"])
def test_label_studio_needs_http(url: str) -> None:
    """An address without http is refused."""
    with pytest.raises(ValueError, match="http://"):
        Settings.model_validate({"label_studio_url": url})


@pytest.mark.parametrize("value", ["garbage", "[]", '{"kind": "hound"}', '{"kind": {"dog": 1}}', "3"])
def test_new_names_of_choices_that_cannot_be_read_are_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """The message names the variable and the form, whatever is wrong with it."""
    monkeypatch.setenv("ML_BACKEND_RENAMED", value)
    with pytest.raises(SettingsError, match=r'ML_BACKEND_RENAMED: must be JSON.*\{"kind": \{"dog": "hound"\}\}'):
        read_settings()
    monkeypatch.setenv("ML_BACKEND_RENAMED", '{"kind": {"dog": "hound"}}')
    assert read_settings().renamed == {"kind": {"dog": "hound"}}


@pytest.mark.parametrize(
    "url", ["http://", "http://:8080", "http://label-studio:port", "http://x:0", "http://[::1"]
)
def test_an_address_without_a_host_or_with_a_wrong_port_is_refused(url: str) -> None:
    """The setting is named, before anything is asked at an address that is none."""
    with pytest.raises(SettingsError, match="LABEL_STUDIO_URL"):
        read_settings(label_studio_url=url)


def test_the_last_line_break_of_a_file_is_no_part_of_the_key() -> None:
    """A key that was read from a file works; one that no header can hold is refused, and not shown."""
    settings = read_settings(label_studio_api_key="secret-key\n")
    assert settings.label_studio_api_key.get_secret_value() == "secret-key"
    for wrong in ("secret key", "secret-k\u00e9y", "secret-key\nsecret-key"):
        with pytest.raises(SettingsError, match="LABEL_STUDIO_API_KEY") as refused:
            read_settings(label_studio_api_key=wrong)
        assert "secret" not in str(refused.value)

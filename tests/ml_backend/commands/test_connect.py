import pytest
from typer.testing import CliRunner

from ml_backend import cli
from ml_backend.commands import connect
from ml_backend.label_studio.connecting import ConnectionSetting
from ml_backend.settings import get_settings

RIGHT = ConnectionSetting("connection", "http://ml.internal:9090")
CHANGED = ConnectionSetting("title", "suggestions", "resnet18-random-20260131T120000-00aa")
NOTED = ConnectionSetting("sampling", "Uncertainty sampling", note="others have [begun] some")
LEFT = ConnectionSetting("webhook", "none", problem="its host name has no [dot]")


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address of the backend in the environment."""
    monkeypatch.setenv("ML_BACKEND_PUBLIC_URL", "http://ml.internal:9090")
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("parts", "options", "status", "last"),
    [
        ([RIGHT], (), 0, "Nothing to change."),
        ([RIGHT, CHANGED], (), 0, "1 changed."),
        ([RIGHT, NOTED], (), 0, "Nothing to change."),
        ([RIGHT, CHANGED], ("--dry-run",), 0, "1 to change; nothing was written (--dry-run)."),
        ([RIGHT, LEFT], (), 1, "Nothing was changed."),
        ([CHANGED, LEFT], (), 1, "1 changed."),
    ],
)
def test_what_was_done_is_said_last(
    monkeypatch: pytest.MonkeyPatch,
    parts: list[ConnectionSetting],
    options: tuple[str, ...],
    status: int,
    last: str,
) -> None:
    """The status is 1 as long as something is left for a person to do."""
    monkeypatch.setattr(connect, "_connect", lambda *_, **__: parts)
    ended = CliRunner().invoke(cli.cli, ["connect", "--project", "7", *options])
    assert ended.exit_code == status
    assert ended.output.strip().splitlines()[-1] == last
    assert ("has no [dot]" in ended.output) == (LEFT in parts)
    assert ("Note (sampling): others have [begun] some." in ended.output) == (NOTED in parts)


def test_an_address_is_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without one, the variable and the option that give it are named."""
    monkeypatch.delenv("ML_BACKEND_PUBLIC_URL")
    monkeypatch.setattr("sys.argv", ["ml-backend", "connect", "--project", "7"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    shown = capsys.readouterr().err
    assert "ML_BACKEND_PUBLIC_URL not set" in shown
    assert "--url" in shown

"""Settings of the machine do not reach the tests of consensus."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from consensus import cli
from consensus.settings import settings

sys.path.insert(0, str(Path(__file__).parent))  # where the folders of votes are made


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Every test starts in an empty folder, without variables, and without those that another one read."""
    for name in os.environ:
        if name.startswith(("LABEL_STUDIO_", "CONSENSUS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CONSENSUS_DATABASE_URL", f"sqlite:///{tmp_path}/consensus.db")
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture
def shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Calls `consensus` as the shell would; returns exit status, output and errors."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")

    def _shell(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["consensus", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err + printed.out
        return int(ended.value.code or 0), printed.out, printed.err

    return _shell

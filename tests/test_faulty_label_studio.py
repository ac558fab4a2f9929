"""Every command that asks Label Studio, where something answers in its place."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from common.errors import SuiteError
from common.label_studio import session
from consensus import cli as consensus
from consensus.settings import settings as consensus_settings
from ml_backend import cli as ml_backend
from ml_backend.settings import get_settings

SECRET = "the patient's name"
PROJECT = ("--project", "7")
COMMANDS = {
    "ml-backend train": (ml_backend.cli, "train", *PROJECT),
    "ml-backend predict": (ml_backend.cli, "predict", *PROJECT),
    "ml-backend connect": (ml_backend.cli, "connect", *PROJECT, "--url", "http://ml.example.test:9090"),
    "ml-backend disconnect": (ml_backend.cli, "disconnect", *PROJECT, "--yes"),
    "ml-backend forget": (ml_backend.cli, "forget", *PROJECT, "--yes"),
    "ml-backend forget --gone": (ml_backend.cli, "forget", "--gone", "--yes"),
    "ml-backend doctor": (ml_backend.cli, "doctor"),
    "consensus run": (consensus.app, "run", *PROJECT),
    "consensus ping": (consensus.app, "ping"),
    "consensus doctor": (consensus.app, "doctor"),
    "consensus import": (consensus.app, "import", ".", *PROJECT),
}


class Endless(httpx.SyncByteStream):
    """Bytes without end."""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b"[" * 10_000


ANSWERS = {
    "no text": {"content": b"\xff\xfe" + SECRET.encode()},
    "a page": {"html": f"<html>{SECRET}"},
    "cut off": {"content": b'{"id": 7, "title": "' + SECRET.encode()},
    "nested without end": {"content": b"[" * 200_000},
    "a number": {"json": 7},
    "a list": {"json": [1, SECRET]},
    "another object": {"json": {"detail": SECRET, "results": 3, "id": "seven"}},
    "nothing": {"content": b""},
    "without end": {},
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_an_odd_answer_is_one_sentence(
    command: tuple[object, ...], answer: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever answers 200 there: no command hangs, shows a traceback, or prints what came."""
    monkeypatch.setattr(session, "LARGEST_ANSWER", 100_000)
    monkeypatch.setattr(
        httpx.HTTPTransport,
        "handle_request",
        lambda *_: httpx.Response(200, **(answer or {"stream": Endless()})),
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "projects" / "7").mkdir(parents=True)
    for name, value in {
        "LABEL_STUDIO_URL": "http://label-studio.test",
        "LABEL_STUDIO_API_KEY": "0123456789abcdef",
        "ML_BACKEND_DATA_DIR": str(tmp_path),
        "CONSENSUS_DATABASE_URL": f"sqlite:///{tmp_path}/store.db",
    }.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    consensus_settings.cache_clear()
    app, *arguments = command
    ended = CliRunner().invoke(app, arguments)  # type: ignore[arg-type]
    assert ended.exit_code == 1
    assert isinstance(ended.exception, SuiteError | SystemExit), ended.exc_info
    assert SECRET not in f"{ended.output}{ended.exception}"

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ml_backend import cli
from ml_backend.commands import tuning
from ml_backend.embedding.tuned import Tuned, TunedWeights
from ml_backend.errors import NothingToLearnError
from ml_backend.finetune.evaluation import Figure, Judgement
from ml_backend.finetune.options import TuningRequest
from ml_backend.finetune.tuner import TuningResult
from ml_backend.settings import get_settings

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MADE = Tuned("resnet18", "0123abcd", "finetune", "resnet18:random-0", NOW.isoformat(), {"7": [1]})
FIGURE = Figure("kind", 20, before=0.5, after=0.75)


@pytest.fixture(autouse=True)
def data_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of its own, and no Label Studio."""
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ML_BACKEND_DATA_DIR", str(tmp_path / "backend"))
    get_settings.cache_clear()
    return tmp_path / "backend"


def invoke(*arguments: str) -> tuple[int, str]:
    """Exit status and what was printed, without colours."""
    ended = CliRunner().invoke(cli.cli, list(arguments))
    return ended.exit_code, re.sub(r"\x1b\[[0-9;]*m", "", ended.output)


def test_options_that_were_given_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were not are left to the defaults."""
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(tuning, "_run", lambda *given: calls.append(given[:3]))
    invoke("finetune", "--project", "7", "--epochs", "3", "--any-way-up", "--from", "random", "--restart")
    invoke("pretrain", "--project", "8", "--batch-size", "16")
    assert calls == [
        (7, TuningRequest("finetune", {"epochs": 3, "upright": False}, "random"), False),
        (8, TuningRequest("pretrain", {"batch_size": 16}), None),
    ]


def test_weights_are_used_and_no_longer_used(data_dir: Path) -> None:
    """By their id, and only if they were made here; undoing twice is no fault."""
    weights = TunedWeights(data_dir)
    weights.keep(MADE)
    (data_dir / "weights" / "0123abcd.pt").touch()
    assert invoke("finetune", "--project", "7", "--use", "0123abcd") == (
        0,
        "Project 7 uses the weights 0123abcd from its next training on.\n",
    )
    assert weights.of_project(7) == MADE
    assert "uses the configured weights again" in invoke("finetune", "--project", "7", "--undo")[1]
    assert weights.of_project(7) is None
    assert "uses the configured weights already" in invoke("finetune", "--project", "7", "--undo")[1]


@pytest.mark.parametrize("options", [("--use", ""), ("--use", "0123abcd", "--undo")])
def test_an_odd_choice_of_weights_begins_nothing(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path, options: tuple[str, ...]
) -> None:
    """An id that is empty, and using and undoing at once, are refused before anything is learned or pointed at."""
    weights = TunedWeights(data_dir)
    weights.keep(MADE)
    (data_dir / "weights" / "0123abcd.pt").touch()
    assert invoke("finetune", "--project", "7", "--use", "0123abcd")[0] == 0
    monkeypatch.setattr(tuning, "_run", lambda *_: pytest.fail("began to learn"))
    assert invoke("finetune", "--project", "7", *options)[0] != 0
    assert weights.of_project(7) == MADE


@pytest.mark.parametrize(
    ("ends", "code", "sentence"),
    [
        (NothingToLearnError("project 7 has no image"), 1, "Nothing to learn: project 7 has no image"),
        (KeyboardInterrupt(), 130, "Stopped. ml-backend pretrain --project 7 --resume goes on"),
    ],
)
def test_an_end_before_the_end_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, ends: BaseException, code: int, sentence: str
) -> None:
    """Nothing to learn, or a person who stops it: no traceback, and what to do."""

    def end(*_: object) -> None:
        raise ends

    monkeypatch.setattr(tuning, "_run", end)
    status, shown = invoke("pretrain", "--project", "7")
    assert status == code
    assert sentence in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    ("outcome", "sentences"),
    [
        (
            TuningResult(MADE, Judgement((FIGURE,), 40, 1.5), used=True, n_images=160, failures={"missing": 2}),
            ["0.500", "0.750", "2 images left out: missing", "120 of its 160 images", "about 3 minutes"],
        ),
        (
            TuningResult(MADE, Judgement((), 0, None), used=False, n_images=160, failures={}),
            ["No held-out task could judge them, so they are not used", "finetune --project 7 --use 0123abcd"],
        ),
        (
            TuningResult(MADE, Judgement((FIGURE,), 40, 1.5), used=False, n_images=160, failures={}),
            [
                "no better on held-out tasks, so they are not used",
                "ml-backend finetune --project 7 --use 0123abcd",
            ],
        ),
    ],
)
def test_the_outcome_is_told(
    outcome: TuningResult, sentences: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """What was right before and after, what was left out, and how long new embeddings take."""
    tuning._report(7, outcome)
    shown = "".join(capsys.readouterr())
    for sentence in ["0123abcd", *sentences]:
        assert sentence in shown

import csv
import io
import re
import sys
from pathlib import Path
from typing import NoReturn
from unittest.mock import Mock

import pytest
import typer
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

import common
from common.console import SafeConsole, csv_text, original_text, run_program
from common.errors import RefusedError, SettingsError, SuiteError

HARM = "cat\x1b[2J\x07\x9b31m\u202egpj\r"
FORMULAS = [
    "=cmd|'/C calc'!A0@example.com", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1",
    "\uff0d1", "\uff20SUM(1)",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["text", "sentence", "table", "title", "progress"])
def test_no_control_character_reaches_the_terminal(kind: str) -> None:
    """Wherever a name or data of others stands: in a sentence, a table or the name of a step."""
    written = io.StringIO()
    console = SafeConsole(file=written, force_terminal=True, color_system=None, width=80, legacy_windows=False)
    if kind == "text":
        console.print(Text(HARM))
    elif kind == "sentence":
        console.print(HARM, style="bold", soft_wrap=True)
    elif kind == "progress":
        with Progress(console=console) as shown:
            shown.add_task(HARM, total=1)
    else:
        table = Table("a", title=HARM if kind == "title" else None)
        table.add_row(HARM)
        console.print_table(table)
    assert "cat" in written.getvalue()
    assert not [part for part in ("\x1b[2J", "\x07", "\x9b", "\u202e") if part in written.getvalue()]


def test_names_and_data_are_no_markup() -> None:
    """Whatever a control, a label or a message is called stands there as it is, and nothing ends in an error."""
    written, name = io.StringIO(), "[/b] [red]:cat: \\[x]"
    console = SafeConsole(file=written, width=80)
    console.print(name)
    table = Table(name, title=name)
    table.add_row(name)
    console.print_table(table)
    assert written.getvalue().count(name) == 4


@pytest.mark.parametrize("kind", ["text", "sentence", "cell", "text in a cell", "title"])
def test_a_line_break_of_others_begins_no_line(kind: str) -> None:
    """Nobody's title or label can write what looks like a line of the program."""
    written = io.StringIO()
    console = SafeConsole(file=written, width=80)
    name: str | Text = "cat\nerror: nothing is left"
    name = Text(str(name)) if kind.startswith("text") else name
    if kind in ("text", "sentence"):
        console.print(name, style="bold")
    else:
        table = Table("a", title=name if kind == "title" else None)
        table.add_row(name)
        console.print_table(table)
    assert "cat\N{SYMBOL FOR NEWLINE}error" in written.getvalue()
    assert not any(line.startswith("error") for line in written.getvalue().splitlines())


def test_a_sentence_is_broken_by_the_terminal_alone() -> None:
    """A command or an address in it can be copied, however narrow the terminal."""
    written = io.StringIO()
    console = SafeConsole(file=written, width=40)
    sentence = "ml-backend connect --project 7 --url http://ml-backend.internal.example.org:9090"
    console.print(sentence)
    console.print(Text(sentence))
    assert written.getvalue() == f"{sentence}\n{sentence}\n"


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_csv_is_a_formula(text: str) -> None:
    """Whoever opens it in a spreadsheet runs nothing; who reads it back has the same text."""
    header, row = csv.reader(io.StringIO(csv_text([{"name": text, "share": -0.5}], ["name", "share"]), newline=""))
    assert header == ["name", "share"]
    assert row == [f"'{text}", "-0.5"]
    assert original_text(row[0]) == text


def test_every_csv_is_written_in_this_one_place() -> None:
    """No other file of either program lays rows out as CSV."""
    root = Path(common.__file__).parents[1]
    files = [path for room in ("common", "consensus", "ml_backend") for path in (root / room).rglob("*.py")]
    writers = [path.name for path in files if "csv.writer" in (text := path.read_text()) or "DictWriter" in text]
    assert writers == ["console.py"]


def test_every_command_prints_in_this_one_place() -> None:
    """No other file of either program writes to the terminal past what makes text harmless."""
    root = Path(common.__file__).parents[1]
    files = [path for room in ("common", "consensus", "ml_backend") for path in (root / room).rglob("*.py")]
    past = re.compile(r"typer\.s?echo\(|sys\.stdout\.write")
    assert [path.name for path in files if past.search(path.read_text())] == ["console.py"]


@pytest.mark.parametrize("width", [20, 80, 200])
def test_a_table_cuts_no_name(width: int) -> None:
    """What is copied stands there whole, however narrow the terminal."""
    written = io.StringIO()
    console = SafeConsole(file=written, width=width)
    table = Table("version", "why")
    table.add_row("resnet18-2026-01-31T12-00-00-0123abcd", "a sentence of several words")
    console.print_table(table)
    assert "resnet18-2026-01-31T12-00-00-0123abcd" in written.getvalue()


@pytest.mark.parametrize(("module", "extra"), [("duckdb", "."), ("flask.json", ".[ml]")])
def test_a_missing_package_is_named_with_its_remedy(
    capsys: pytest.CaptureFixture[str], module: str, extra: str
) -> None:
    """The package is on no index: it is installed from its folder."""

    def program() -> NoReturn:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    with pytest.raises(SystemExit, match="1"):
        run_program(program, extra=extra, interrupted="")
    expected = f"error: {module} is not installed: in the folder of this repository do pip install '{extra}'\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    "error", [SettingsError("no address"), RefusedError("refused", 404, "gone")], ids=["own", "refused"]
)
def test_an_error_ends_a_command_with_status_1(error: SuiteError) -> None:
    """Label Studio's status of a refusal is no exit status."""

    def program() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        run_program(program, extra=".", interrupted="nothing")
    assert end.value.code == 1


def test_what_writes_faults_down_outlives_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line's own way would show a traceback, also in a log file."""
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def fail() -> None:
        raise RuntimeError

    hook = Mock()
    monkeypatch.setattr(sys, "excepthook", hook)
    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(RuntimeError):
        run_program(app, extra=".", interrupted="nothing is lost")
    assert sys.excepthook is hook

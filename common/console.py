"""What commands print with: text that does a terminal no harm, whole names, and one way to end with an error."""

import csv
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from common.errors import SettingsError, SuiteError

PIPED_WIDTH = 200
"""Columns of a table that goes into a pipe or a file, where nothing says how wide it may be."""
INTERRUPTED = 130
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001 - a spreadsheet takes the wide forms too
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_SURROGATES = range(0xD800, 0xE000)  # of names of files that are no UTF-8; nothing can write them
_HARMFUL = [
    *range(9), *range(11, 32), *range(127, 160), *range(0x2028, 0x202F), *range(0x2066, 0x206A), *_SURROGATES,
]  # fmt: skip
_SAFE = dict.fromkeys(_HARMFUL, "\N{REPLACEMENT CHARACTER}")


def one_line(text: str) -> str:
    r"""Show line breaks of names and data that somebody else wrote: what follows one is no line of ours.

    Examples
    --------
    >>> one_line("cat\nerror: none") == "cat\N{SYMBOL FOR NEWLINE}error: none"
    True
    """
    return text.replace("\n", "\N{SYMBOL FOR NEWLINE}")


def safe(text: str) -> str:
    r"""Replace what would steer a terminal, or turn its text around, in names and data that somebody else wrote.

    Examples
    --------
    >>> safe("a\x1b[2Jb\tc\n") == "a\N{REPLACEMENT CHARACTER}[2Jb\tc\n"
    True
    """
    return text.translate(_SAFE)


def encodable(text: str) -> str:
    r"""Escape what UTF-8 cannot say, as names of files may hold it; in JSON it is the same text still.

    Examples
    --------
    >>> encodable("caf\udce9") == r"caf\udce9"
    True
    """
    return text.encode("utf-8", "backslashreplace").decode()


class SafeConsole(Console):
    """A console on which every text stands as it is, harmless and uncut, as it may be copied.

    Brackets and colons in names and data of others are no markup and no emoji, and a text is one line, which the
    terminal breaks. A table is wider than the terminal where the longest words of its columns are.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - as rich takes them
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Render as rich does, without control characters in any text."""
        if isinstance(renderable, Text) and "\n" in renderable.plain:
            renderable = renderable.copy()
            renderable.plain = one_line(renderable.plain)
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(safe(segment.text), segment.style)

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401 - as rich takes them
        """Make a text one line, as a sentence, a title or a cell."""
        return super().render_str(one_line(text), **options)

    def print(self, *objects: Any, **options: Any) -> None:  # noqa: ANN401 - as rich takes them
        """Print; a text is broken by the terminal alone."""
        if all(isinstance(each, str | Text) for each in objects):
            options.setdefault("soft_wrap", True)
        super().print(*objects, **options)

    def print_table(self, table: Table) -> None:
        """Print a table."""
        for column in table.columns:
            column.overflow = "fold"
        needed = Measurement.get(self, self.options.update(max_width=10_000), table)
        before = self.width
        self.width = needed.maximum if needed.minimum > before else before
        try:
            self.print(table, crop=False)
        finally:
            self.width = before


def console() -> SafeConsole:
    """Return the console for results."""
    return SafeConsole(width=None if sys.stdout.isatty() else PIPED_WIDTH)


def error_console() -> SafeConsole:
    """Return the console for what is no result."""
    return SafeConsole(stderr=True)


def say(sentence: str, style: str | None = None) -> None:
    """Print on standard error, as it is: a bracket in a message is no markup."""
    error_console().print(sentence, style=style)


def note(text: str) -> None:
    """Say on standard error what a person should know though nothing went wrong."""
    say(f"note: {text}", "yellow")


def emit(text: str) -> None:
    """Print for a program: as it is, but not onto a terminal; what UTF-8 cannot say is escaped."""
    typer.echo(safe(text) if sys.stdout.isatty() else encodable(text), nl=False)


def agreed(question: str) -> bool:
    """Ask a person.

    Raises
    ------
    SettingsError
        Where nobody answers.
    """
    try:
        return typer.confirm(safe(one_line(question)), err=True)
    except typer.Abort:
        raise SettingsError(
            "nobody has answered, so nothing is changed; add --yes to go on without a question"
        ) from None


def csv_text(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Lay rows out as CSV; yes and no are 1 and 0, and no text is a formula."""
    lines = _Lines()
    writer = csv.DictWriter(lines, columns, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return "".join(lines.written)


def csv_pages(pages: Iterable[Iterable[Mapping[str, Any]]], columns: Sequence[str]) -> Iterator[str]:
    """Lay rows out as CSV a page at a time; the names of the columns come once, whether there are rows or not."""
    yield csv_text([], columns)
    for page in pages:
        yield csv_text(page, columns).partition("\n")[2]


class _Lines:
    """Ends lines with LF; Python 3.11 puts quotes around a carriage return only where that is part of the end."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, line: str) -> None:
        self.written.append(line.removesuffix("\r\n") + "\n")


def _cell(value: Any) -> Any:  # noqa: ANN401 - any value
    if isinstance(value, bool):
        return int(value)
    return plain_text(value) if isinstance(value, str) else value


def plain_text(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would take for a formula, which can call programs.

    https://owasp.org/www-community/attacks/CSV_Injection

    Examples
    --------
    >>> plain_text("=cmd|'/C calc'!A0"), plain_text("cat"), plain_text("-1.5")
    ("'=cmd|'/C calc'!A0", 'cat', '-1.5')
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def original_text(text: str) -> str:
    """Return the text that `plain_text` wrote.

    Examples
    --------
    >>> [original_text(plain_text(text)) for text in ("=a", "'=a", "'a", "-1", "'-1")]
    ['=a', "'=a", "'a", '-1', "'-1"]
    """
    return text[1:] if text.startswith("'") and plain_text(text[1:]) == text else text


def flowing(docstring: str | None) -> str:
    r"""Make a line of each paragraph, so that the help breaks lines where the terminal ends: typer keeps breaks.

    Examples
    --------
    >>> flowing("Add.\n\n    To what\n    is there.")
    'Add.\n\nTo what is there.'
    """
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in (docstring or "").split("\n\n"))


def let_help_flow(app: typer.Typer) -> None:
    """Take the help of an application's commands from their docstrings, without their line breaks."""
    for command in app.registered_commands:
        command.help = flowing(command.callback.__doc__)


def add_version(app: typer.Typer) -> None:
    """Give a program the option `--version`."""

    def show(show_version: bool) -> None:  # noqa: FBT001 - as typer calls it
        if show_version:
            from importlib.metadata import version  # noqa: PLC0415 - slow, and nothing else needs it

            typer.echo(version("label-studio-consensus"))
            raise typer.Exit

    def options(
        _: bool = typer.Option(False, "--version", callback=show, is_eager=True, help="Show the version."),  # noqa: FBT001, FBT003
    ) -> None:
        pass

    app.callback()(options)


def shows_help() -> bool:
    """Whether this program is asked for its help or version alone, which need nothing set up."""
    return len(sys.argv) == 1 or not {"--help", "--version"}.isdisjoint(sys.argv)


def run_program(app: Callable[[], object], *, extra: str, interrupted: str) -> None:
    """Run a command line; what a person can mend is one line and an exit status, never a traceback.

    Parameters
    ----------
    extra : str
        Of this package that brings what the program imports, as in ``.[ml]``.
    interrupted : str
        What Ctrl-C has left and how it goes on.
    """
    hook = sys.excepthook
    try:
        app()
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("common", "consensus", "ml_backend"):
            raise
        fail(f"{error.name} is not installed: {install(extra)}")
    except SuiteError as error:
        fail(str(error), error.status)
    except KeyboardInterrupt:
        fail(f"interrupted: {interrupted}", INTERRUPTED)
    except SystemExit as end:
        if end.code == INTERRUPTED or isinstance(end.__context__, typer.Abort):
            fail(f"interrupted: {interrupted}", INTERRUPTED)
        raise
    finally:
        sys.excepthook = hook  # typer's own would show a traceback, also in a log file


def install(extra: str) -> str:
    """Return how an extra of this package is had: it is on no index."""
    return f"in the folder of this repository do pip install '{extra}'"


def fail(why: str, status: int = 1) -> NoReturn:
    """End with one line and an exit status."""
    say(f"error: {why}", "red")
    raise SystemExit(status) from None

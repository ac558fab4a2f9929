"""What a command imports before it is asked for anything."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TYPER = {"annotated_doc", "markdown_it", "mdurl", "pygments", "rich", "shellingham", "typer"}
"""With what it needs to show a help, on a terminal or not."""
SCRIPT = """
import sys
before = set(sys.modules)
from {program}.cli import main
try:
    main()
except SystemExit:
    pass
print(*sorted(set(sys.modules) - before))
"""


def imported(program: str, *words: str) -> set[str]:
    """Names of the modules that a command imports."""
    script = [sys.executable, "-c", SCRIPT.format(program=program), *words]
    shown = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    return {*shown.splitlines()[-1].split()}


@pytest.mark.parametrize("program", ["consensus", "ml_backend"])
def test_help_imports_nothing_heavy(program: str) -> None:
    """Nothing that computes, reads settings, logs or speaks to anybody is loaded to show a help."""
    packages = {name.partition(".")[0] for name in imported(program, "--help")} - sys.stdlib_module_names
    assert packages <= TYPER | {"attr", "common", program}


def test_score_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    """Of scipy only sparse matrices are loaded, and nothing that reads settings or speaks to anybody."""
    votes = tmp_path / "votes.csv"
    rows = [f"t{task},a{who},{'xy'[task % 2]}" for task in range(40) for who in range(5)]
    votes.write_text("\n".join(["task,annotator,label", *rows]))
    modules = imported("consensus", "score", str(votes), "--out", str(tmp_path / "result.csv"))
    needless = {
        "pandas",
        "pyarrow",
        "structlog",
        "pydantic_settings",
        "label_studio_sdk",
        "sqlalchemy",
        "httpx",
        "requests",
    }
    assert (
        not (needless | {f"scipy.{part}" for part in ("optimize", "cluster", "spatial", "special", "stats")})
        & modules
    )


def test_a_fault_of_score_is_a_line_of_the_log(tmp_path: Path) -> None:
    """What nobody caught is written as other programs' logs are, without a traceback."""
    faulty = "from consensus.files import score_files; score_files.score_files = None"
    script = f"{faulty}; from consensus.cli import main; main()"
    words = [sys.executable, "-c", script, "score", "votes.csv", "--out", str(tmp_path / "result.csv")]
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert json.loads(done.stderr.splitlines()[-1])["event"] == "uncaught_error"
    assert "Traceback" not in done.stderr

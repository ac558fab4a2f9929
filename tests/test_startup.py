"""What a command imports before it is asked for anything."""

import subprocess
import sys

import pytest

TYPER = {"annotated_doc", "markdown_it", "mdurl", "pygments", "rich", "shellingham", "typer"}
"""With what it needs to show a help, on a terminal or not."""
SCRIPT = """
import sys
before = set(sys.modules)
sys.argv = ["program", "--help"]
from {program}.cli import main
try:
    main()
except SystemExit:
    pass
print(*sorted({{name.partition(".")[0] for name in set(sys.modules) - before}} - sys.stdlib_module_names))
"""


@pytest.mark.parametrize("program", ["consensus", "ml_backend"])
def test_help_imports_nothing_heavy(program: str) -> None:
    """Nothing that computes, reads settings, logs or speaks to anybody is loaded to show a help."""
    script = [sys.executable, "-c", SCRIPT.format(program=program)]
    shown = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    assert {*shown.splitlines()[-1].split()} <= TYPER | {"attr", "common", program}

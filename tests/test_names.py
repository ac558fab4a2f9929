import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAYS_NOTHING = re.compile("facts|found|heard|kept|known|ledger|one|parts|said|tails|those|told|wanted|what")


def names_bound(path: Path) -> Iterator[tuple[int, str]]:
    """Give the line and the name of each argument and local of the functions of a file."""
    for function in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(function, ast.FunctionDef | ast.Lambda):
            for node in ast.walk(function):
                if isinstance(node, ast.arg):
                    yield node.lineno, node.arg
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.lineno, node.id


@pytest.mark.parametrize(
    "room",
    ["benchmarks", "common", "consensus", "ml_backend", "scripts"],
)
def test_a_name_says_what_it_holds(room: str) -> None:
    """A row, a vote or a task: a reader need not look where it came from."""
    assert [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for line, name in sorted(set(names_bound(path)))
        if SAYS_NOTHING.fullmatch(name)
    ] == []

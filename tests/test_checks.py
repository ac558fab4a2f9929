"""The checks that read the code instead of running it, each by its own tool."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "consensus" / "plugin" / "consensus_actions.py"
PROGRAMS = Path(sys.executable).parent

CHECKS = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "import directions": ["lint-imports"],
}


@pytest.mark.parametrize("command", CHECKS.values(), ids=CHECKS.keys())
def test_check(command: list[str]) -> None:
    """The tool finds nothing; what it finds is shown."""
    program, *arguments = command
    done = subprocess.run([PROGRAMS / program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} says:\n{done.stdout}{done.stderr}"


def test_the_images_hold_every_package() -> None:
    """What pip installs from the repository is what the images are built from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = [name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]]
    assert packages == sorted(path.parent.name for path in ROOT.glob("*/py.typed"))
    copied, carried = (ROOT / name for name in ("Dockerfile", ".dockerignore"))
    for package in packages:
        assert f"COPY {package} {package}\n" in copied.read_text(encoding="utf-8")
        assert f"!{package}\n" in carried.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("folders", "extras", "peers"),
    [(["common", "consensus"], ["ray"], set()), (["ml_backend"], ["ml", "ray"], {"label_studio_ml"})],
    ids=["consensus", "ml_backend"],
)
def test_each_import_is_a_declared_dependency(folders: list[str], extras: list[str], peers: set[str]) -> None:
    """What is imported is installed with the package, in an environment that has nothing else."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [
        *project["dependencies"],
        *(one for name in extras for one in project["optional-dependencies"][name]),
    ]
    declared = {normal(re.split(r"[<>=~!\[; ]", requirement)[0]) for requirement in requirements}
    known = packages_distributions()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            if path == PLUGIN:
                continue
            for name in (
                imported(path) - set(sys.stdlib_module_names) - {"common", "consensus", "ml_backend"} - peers
            ):
                owners = {normal(owner) for owner in known.get(name, [name])}
                assert owners & declared, (
                    f"{path.relative_to(ROOT)} imports {name}, which pyproject.toml does not name"
                )


def test_the_plugin_needs_nothing_but_label_studio() -> None:
    """It runs in Label Studio's environment, where nothing of ours is installed."""
    assert imported(PLUGIN) - set(sys.stdlib_module_names) == {"core", "data_manager", "tasks"}


def imported(path: Path) -> set[str]:
    """Names of the packages that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def normal(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()

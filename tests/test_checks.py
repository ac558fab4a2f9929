"""The checks that read the code instead of running it, each by its own tool."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
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

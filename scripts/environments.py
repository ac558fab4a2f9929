"""Make the two environments that the commands need: ours in `.venv`, Label Studio's in `.venv-label-studio`.

Standard library only: this runs on the bare Python of a fresh machine. An environment is complete when its
stamp (written last) fits `pyproject.toml` and the pinned versions; anything else is completed or rebuilt.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - older Pythons are the ones that need the message
    sys.exit("Python 3.11 or newer is needed; this is Python %d.%d." % sys.version_info[:2])  # noqa: UP031

import argparse
import enum
import hashlib
import json
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
LABEL_STUDIO_VERSION = "1.23.2"

STAMP = "complete.json"
"""Written when an environment is complete, removed before anything in it is changed."""
SLOW_IMPORTS = ("torch", "torchvision", "sklearn.cluster", "label_studio_sdk", "pandas")
INSTALLING = "installing"
"""Lies in an environment while pip works in it; found later, it tells of an interrupted install."""


class State(enum.Enum):
    """How far an environment is."""

    COMPLETE = "complete"
    UNFINISHED = "needs an install"
    BROKEN = "needs to be rebuilt"


@dataclass(frozen=True)
class Environment:
    """A virtual environment and what belongs into it.

    Attributes
    ----------
    folder
        Where it lies.
    constraints
        The file that pins every version.
    package
        What pip installs, without extras: a requirement, or the repository's folder.
    extras
        Extras of the package that are wanted.
    fingerprint
        Changes whenever another install is due.
    imports
        Modules that are imported once after an install: it compiles them, and shows that they can be.
    """

    folder: Path
    constraints: Path
    package: str
    extras: frozenset[str]
    fingerprint: str
    imports: tuple[str, ...] = ()

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.program("python")

    def program(self, name: str) -> Path:
        """Path of a program installed in the environment."""
        return self.folder / "bin" / name

    def requirement(self, extras: frozenset[str]) -> list[str]:
        """Arguments of `pip install` for the package with some extras."""
        if not Path(self.package).is_absolute():
            return [self.package]
        return ["--editable", f"{self.package}[{','.join(sorted(extras))}]" if extras else self.package]


def ours(*extras: str, root: Path = ROOT) -> Environment:
    """Our own environment, with extras of `pyproject.toml` such as `ml` and `test`."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    installed = {key: project.get(key) for key in ("build-system", "project")}
    installed["setuptools"] = project.get("tool", {}).get("setuptools")
    constraints = root / "constraints.txt"
    return Environment(
        folder=root / ".venv",
        constraints=constraints,
        package=str(root),
        extras=frozenset(extras),
        fingerprint=_digest(json.dumps(installed, sort_keys=True), constraints.read_text(encoding="utf-8")),
        imports=SLOW_IMPORTS if "ml" in extras else (),
    )


def label_studio(root: Path = ROOT) -> Environment:
    """Label Studio in an environment of its own, as on anyone's server."""
    constraints = root / "scripts" / "label-studio-constraints.txt"
    package = f"label-studio=={LABEL_STUDIO_VERSION}"
    return Environment(
        folder=root / ".venv-label-studio",
        constraints=constraints,
        package=package,
        extras=frozenset(),
        fingerprint=_digest(package, constraints.read_text(encoding="utf-8")),
    )


def state(environment: Environment) -> State:
    """Return whether an environment is complete, and if not, whether pip can continue in it."""
    python = python_version(environment)
    if python is None or (environment.folder / INSTALLING).exists():
        return State.BROKEN
    stamp = read_stamp(environment)
    if stamp is None:
        return State.UNFINISHED
    if (stamp["folder"], stamp["python"]) != (str(environment.folder), python):
        return State.BROKEN
    fits = stamp["fingerprint"] == environment.fingerprint and environment.extras <= set(stamp["extras"])
    return State.COMPLETE if fits else State.UNFINISHED


def python_version(environment: Environment) -> str | None:
    """Version of the environment's Python such as `3.11`, or None where it does not run."""
    program = "import pip, sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [environment.python, "-c", program], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def read_stamp(environment: Environment) -> dict | None:
    """Read the stamp, or None where there is none that can be read."""
    try:
        stamp = json.loads((environment.folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    keys = {"fingerprint", "extras", "folder", "python"}
    return stamp if isinstance(stamp, dict) and keys <= stamp.keys() else None


def write_stamp(environment: Environment, extras: frozenset[str]) -> None:
    """Declare an environment complete."""
    stamp = {
        "fingerprint": environment.fingerprint,
        "extras": sorted(extras),
        "folder": str(environment.folder),
        "python": python_version(environment),
    }
    (environment.folder / STAMP).write_text(json.dumps(stamp), encoding="utf-8")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def main() -> None:
    """Make the environments and nothing else."""
    from installing import ensure  # noqa: PLC0415 - installing imports this module

    parser = argparse.ArgumentParser(description="Make .venv and .venv-label-studio, or complete them.")
    parser.add_argument("--test", action="store_true", help="with what the tests need")
    extras = ("ml", "test") if parser.parse_args().test else ("ml",)
    ensure([ours(*extras), label_studio()])


if __name__ == "__main__":
    main()

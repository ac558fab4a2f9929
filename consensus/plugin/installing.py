"""Putting the plugin into an installed Label Studio, taking it out again, and looking whether it is there."""

import ast
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.files import write_whole
from consensus.errors import ConfigError

State = Literal["this version", "another version", "not there"]
SOURCE = Path(__file__).with_name("consensus_actions.py")
"""Read and never imported: it belongs into Label Studio."""
MARK = "Actions of consensus in the Data Manager of Label Studio Community"
ACTIONS = Path("data_manager", "actions")
ASK = """
import importlib.metadata, importlib.util
spec = importlib.util.find_spec("label_studio")
print(spec.submodule_search_locations[0] if spec else "")
try:
    print(importlib.metadata.version("label-studio"))
except importlib.metadata.PackageNotFoundError:
    print("")
"""
ASK_S = 60


def _tested() -> tuple[str, ...]:
    tree = ast.parse(SOURCE.read_bytes())
    values = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return tuple(ast.literal_eval(values["TESTED"]))


TESTED = _tested()


@dataclass(frozen=True)
class Target:
    """An installed Label Studio.

    Parameters
    ----------
    package : Path
        The folder `label_studio` of its package.
    version : str
        Empty where it cannot be told.
    """

    package: Path
    version: str

    @property
    def file(self) -> Path:
        """Where the plugin lies, or would."""
        return self.package / ACTIONS / SOURCE.name

    @property
    def is_tested(self) -> bool:
        """Whether the plugin does anything there."""
        return self.version in TESTED

    def state(self) -> State:
        """Look whether the plugin is there.

        Raises
        ------
        ConfigError
            Where another file has its name, or it cannot be read.
        """
        try:
            content = self.file.read_bytes()
        except FileNotFoundError:
            return "not there"
        except OSError as error:
            raise ConfigError(f"{self.file} cannot be read: {error.strerror}") from None
        if MARK.encode() not in content:
            raise ConfigError(f"{self.file} is no file of consensus: move it away first")
        return "this version" if content == _ours() else "another version"


def target_at(path: Path) -> Target:
    """Find the package of Label Studio in its own folder, in one that holds it, or in a virtual environment.

    Raises
    ------
    ConfigError
        Where there is none.
    """
    places = (
        path,
        path / "label_studio",
        *sorted(path.glob("lib/python3*/site-packages/label_studio")),
        path / "Lib" / "site-packages" / "label_studio",
    )
    package = next((place for place in places if (place / ACTIONS / "__init__.py").is_file()), None)
    if package is None:
        raise ConfigError(
            f"{path} holds no Label Studio: name its package (…/site-packages/label_studio), its virtual "
            "environment, or with --python its interpreter"
        )
    return Target(package, _version_beside(package))


def target_of(python: str) -> Target:
    """Find the Label Studio that an interpreter would import.

    Raises
    ------
    ConfigError
        Where it cannot be asked, or has none.
    """
    program = str(Path(python).absolute()) if os.path.sep in python else python
    command = [
        program,
        "-I",
        "-c",
        ASK,
    ]  # nothing that lies in this folder is taken for Label Studio
    try:
        asked = subprocess.run(  # noqa: S603 - a person names the interpreter
            command, check=True, capture_output=True, text=True, timeout=ASK_S, cwd=os.path.sep
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{python} could not be asked for its Label Studio ({type(error).__name__})") from None
    package, version = [*asked.stdout.splitlines(), "", ""][:2]
    if not (Path(package) / ACTIONS / "__init__.py").is_file() or not package:
        raise ConfigError(f"{python} has no Label Studio; name the interpreter of its virtual environment")
    return Target(Path(package), version)


def install(target: Target) -> bool:
    """Put the plugin in, in one step; return whether there was something to do.

    Raises
    ------
    ConfigError
        Where it was not tested with that Label Studio, or cannot be written.
    """
    if not target.is_tested:
        raise ConfigError(
            f"{target.package} is Label Studio {target.version or 'of an unknown version'}; the plugin was tested "
            f"with {', '.join(TESTED)} and would do nothing there. It stays out"
        )
    if target.state() == "this version":
        return False
    try:
        write_whole(target.file, _ours())
        target.file.chmod(0o644)  # Label Studio may run as another account
    except OSError as error:
        raise ConfigError(f"{target.file} cannot be written: {error.strerror}") from None
    return True


def uninstall(target: Target) -> bool:
    """Take the plugin out; return whether it was there."""
    if target.state() == "not there":
        return False
    try:
        target.file.unlink()
    except OSError as error:
        raise ConfigError(f"{target.file} cannot be deleted: {error.strerror}") from None
    return True


def _ours() -> bytes:
    return SOURCE.read_bytes()


def _version_beside(package: Path) -> str:
    """Return the version that the package's metadata names; empty where it has none."""
    for described in sorted(package.parent.glob("label_studio-*.dist-info/METADATA")):
        text = described.read_text(encoding="utf-8", errors="replace")
        if match := re.search(r"^Version: (\S+)$", text, re.MULTILINE):
            return match[1]
    return ""

"""What a settings file says so that `consensus run` finds the given label.

A person's file is added to at its end, or left alone.
"""

import json
import tomllib
from pathlib import Path

from common.files import write_whole
from consensus.settings import project_config
from consensus.transfer.targets import Target


def settings_lines(target: Target, project_id: int | str) -> str:
    """Return the section of a project's control.

    Examples
    --------
    >>> print(settings_lines(Target(None, "Pets", "label", ("cat",)), 7))
    [projects.7.controls.label]
    given = "given"
    """
    lines = [f"[projects.{project_id}.controls.{_key(target.control)}]"]
    if target.verifies:
        lines.append('kind = "verification"')
    lines.append(f"given = {json.dumps(target.given_key, ensure_ascii=False)}")
    return "\n".join(lines)


def _key(name: str) -> str:
    plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if plain else json.dumps(name, ensure_ascii=False)


def is_said(path: Path | None, target: Target, project_id: int) -> bool:
    """Return whether a settings file says already where the given label of the control is."""
    if path is None or not path.exists():
        return False
    section = project_config(path, project_id).controls.get(target.control)
    return section is not None and bool(section.given or section.given_annotations or section.given_version)


def add_settings(path: Path, target: Target, project_id: int) -> bool:
    """Add the section to a settings file, which is made where it is not there; the rest stays byte for byte.

    Returns
    -------
    bool
        False where nothing is written, as the file has a section of that control or cannot be added to.
    """
    try:
        before = path.read_bytes().decode() if path.exists() else ""
        gap = "" if not before else "\n" if before.endswith("\n") else "\n\n"
        text = f"{before}{gap}{settings_lines(target, project_id)}\n"
        old, new = tomllib.loads(before), tomllib.loads(text)
        added = new.get("projects", {}).get(str(project_id), {}).get("controls", {}).pop(target.control, None)
        if added is None or _without_empty(old) != _without_empty(new):
            return False
        write_whole(path, text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):  # such as on a disk that is mounted to be read
        return False
    return True


def _without_empty(table: object) -> object:
    if not isinstance(table, dict):
        return table
    return {key: value for key, inner in table.items() if (value := _without_empty(inner)) != {}}

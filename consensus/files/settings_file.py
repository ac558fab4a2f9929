"""Changing what the settings file says of one project; all else in the file stays as it is."""

import os
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable, Table

from common.files import replacing
from consensus.errors import ConfigError

Key = tuple[str, ...]
"""Below `[projects.N]`, as ("controls", "digit", "given")."""
Value = str | float | bool | list[str] | None
"""None takes a key out."""


def edited(text: str, project: int, changes: Mapping[Key, Value]) -> str:
    r"""Return the text of a settings file with keys of a project changed.

    Raises
    ------
    ConfigError
        Where that cannot be done without changing, or losing, something else.

    Examples
    --------
    >>> print(edited("# ours\npolicy = 'wilson'", 7, {("review", "gold_share"): 0.1}))
    # ours
    policy = 'wilson'
    <BLANKLINE>
    [projects.7.review]
    gold_share = 0.1
    <BLANKLINE>
    """
    if text and not text.endswith("\n"):
        text += "\n"
    try:
        document, plain = tomlkit.parse(text), tomllib.loads(text)
        for key, value in changes.items():
            for table in (document, plain):
                name = _name_of(table.get("projects", {}), project)
                _put(table, ("projects", name, *key), value)
        made = tomlkit.dumps(document)
        is_sound = _without_empty(tomllib.loads(made)) == _without_empty(plain)
    except (TOMLKitError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"the settings file cannot be changed by a program: {error}") from None
    if not is_sound or not set(_comments(text)) <= set(_comments(made)):
        raise ConfigError("the settings file is written in a way that only a person can change: edit it by hand")
    return made


def section_of(text: str, project: int) -> dict[Key, Value]:
    r"""Return what a settings file says of a project alone, by key.

    Examples
    --------
    >>> section_of("[projects.7.review]\ngold_share = 0.1", 7)
    {('review', 'gold_share'): 0.1}
    """
    projects = tomllib.loads(text).get("projects", {})
    return dict(_leaves(projects.get(_name_of(projects, project), {})))


def is_writable(path: Path | None) -> bool:
    """Whether the file is there, and this account may put another in its place."""
    if path is None or not path.is_file():
        return False
    place = path.resolve()
    return os.access(place, os.W_OK) and os.access(place.parent, os.W_OK)


def replace_settings(path: Path, text: str) -> None:
    """Write a settings file in one step; a link to it stays one, and who may read it still may.

    Raises
    ------
    ConfigError
        Where it cannot be written.
    """
    place = path.resolve()
    try:
        with replacing(place) as unfinished:
            unfinished.write_bytes(text.encode())
            shutil.copymode(place, unfinished)
    except OSError as error:
        raise ConfigError(f"settings file {path} cannot be written: {error.strerror}") from None


def _name_of(projects: Mapping[str, Any], project: int) -> str:
    """Return how the file spells the number of a project."""
    return next((str(name) for name in projects if name.isdecimal() and int(name) == project), str(project))


def _put(table: Any, key: Key, value: Value) -> None:  # noqa: ANN401 - of tomlkit, or plain
    *path, last = key
    for depth, name in enumerate(path):
        if name not in table:
            if value is None:
                return
            is_last = depth == len(path) - 1
            table[name] = {} if type(table) is dict else _new_table(table, is_last=is_last)
        table = table[name]
    there = table.get(last)
    if isinstance(there, list) and isinstance(value, list):
        for gone in [each for each in there if each not in value]:
            there.remove(gone)
        there.extend(each for each in value if each not in there)
    elif value is not None:
        table[last] = list(value) if isinstance(value, list) else value
    elif last in table:
        del table[last]


def _new_table(parent: object, *, is_last: bool) -> Table | InlineTable:
    """Make a table in the way of the one that it comes into; only the last of a path needs a header of its own."""
    return tomlkit.inline_table() if isinstance(parent, InlineTable) else tomlkit.table(is_super_table=not is_last)


def _leaves(table: Mapping[str, Any], before: Key = ()) -> Iterator[tuple[Key, Value]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*before, name))
        else:
            yield (*before, name), value


def _comments(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip().startswith("#"))


def _without_empty(table: object) -> object:
    if not isinstance(table, dict):
        return table
    return {key: value for key, inner in table.items() if (value := _without_empty(inner)) != {}}

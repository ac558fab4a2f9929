"""The form of a project's settings: its fields, and what somebody has changed in them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from werkzeug.exceptions import BadRequest

from consensus.core.decide.policies import POLICIES
from consensus.files.settings_file import Key, Value
from consensus.settings import LINES, ProjectConfig

Kind = Literal["choice", "share", "count", "flag", "text", "lines"]
OF_LINES = {
    "confirm": "Confirmed from a probability of",
    "reject": "Rejected below",
    "controversial_votes": "Controversial from so many votes",
    "fewest_votes": "Decided from so many votes",
    "controversial_low": "Controversial from",
    "controversial_high": "Controversial up to",
}


@dataclass(frozen=True)
class Field:
    """A setting that can be changed.

    Parameters
    ----------
    key : tuple of str
        Below `[projects.N]`.
    value : str, float, bool, list of str or None
        What holds now.
    optional : bool
        Whether it may be left empty.
    """

    key: Key
    label: str
    kind: Kind
    value: Value
    choices: tuple[str, ...] = ()
    optional: bool = False

    @property
    def name(self) -> str:
        """The name of the field in the form."""
        return json.dumps(self.key)

    @property
    def dotted(self) -> str:
        """The key as people read it."""
        return ".".join(self.key)

    def read(self, text: str | None) -> Value:
        """Understand what somebody has entered.

        Raises
        ------
        BadRequest
            Where it cannot be understood.
        """
        entered = (text or "").strip()
        if self.kind == "flag":
            return bool(entered)
        if self.kind == "lines":
            return [line.strip() for line in entered.splitlines() if line.strip()]
        if not entered:
            return None
        if self.kind in ("share", "count"):
            try:
                return int(entered) if self.kind == "count" else float(entered)
            except ValueError:
                raise BadRequest(f"{self.dotted} is {entered!r}; use a number") from None
        if self.kind == "choice" and entered not in self.choices:
            raise BadRequest(f"{self.dotted} is {entered!r}; use one of {', '.join(self.choices)}")
        return entered


def fields_of(config: ProjectConfig, controls: Iterable[str]) -> dict[str, list[Field]]:
    """Return what can be changed, by the heading it is shown under."""
    policy, review = config.policy, config.review
    lines = config.lines(policy)
    fields = {
        "What is decided how": [
            Field(("policy",), "Policy", "choice", policy, tuple(POLICIES)),
            *(
                Field(
                    ("thresholds", policy, name), OF_LINES[name], "count" if name.endswith("votes") else "share",
                    getattr(lines, name), optional=True,
                )
                for name in LINES[policy]
            ),
            Field(("guarantee",), "Most of a report that may be wrong", "share", config.guarantee, optional=True),
            Field(("model_votes",), "Suggestions vote", "flag", config.model_votes),
        ],
        "Review": [
            Field(("review", "gold_share"), "Share of known answers", "share", review.gold_share),
            Field(("review", "gold_line"), "Named below on them", "share", review.gold_line, optional=True),
            Field(("review", "spot_share"), "Share of random samples", "share", review.spot_share),
            Field(("review", "tabs"), "Tabs of the queues in Label Studio", "flag", review.tabs),
        ],
        "Label Studio": [
            Field(("task_columns",), "Columns in the Data Manager", "flag", config.task_columns),
            Field(("machines",), "Accounts that never vote, one a line", "lines", config.machines),
        ],
    }  # fmt: skip
    for control in controls:
        section = config.controls.get(control)
        kind, given = (section.kind, section.given) if section else (None, None)
        key = ("controls", control)
        fields[control] = [
            Field((*key, "kind"), "Kind", "choice", kind, ("choices", "verification"), optional=True),
            Field((*key, "given"), "Key of the given label", "text", given, optional=True),
        ]
    return fields


def changes_in(form: Mapping[str, str], fields: Iterable[Field], section: Mapping[Key, Value]) -> dict[Key, Value]:
    """Return what the form changes.

    Parameters
    ----------
    section : mapping
        What the file says of the project alone.

    Raises
    ------
    BadRequest
        Where something cannot be understood, or must not be empty.
    """
    changes: dict[Key, Value] = {}
    for field in fields:
        value = field.read(form.get(field.name))
        if value == field.value:
            continue
        if value is None and field.key not in section:
            why = "it is said for every project, at the top of the file" if field.optional else "it needs a value"
            raise BadRequest(f"{field.dotted} cannot be left empty: {why}")
        changes[field.key] = value
    return changes

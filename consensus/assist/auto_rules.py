"""The rules file of `consensus auto`."""

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, model_validator

from consensus.core.assist.bands import Lines
from consensus.settings import read_rules_file

Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelSection(_Strict):
    """`[labels.NAME]`: lines of a label; what it does not say holds as for all."""

    accept_above: Score | None = None
    review_below: Score | None = None


class AutoFile(_Strict):
    """What the rules file says.

    Attributes
    ----------
    source
        The suggestions that annotators see, those of another model version, or what the votes confirm.
    version
        Of `prediction`.
    accept_above, review_below
        Lines of all labels that have none of their own.
    audit_share
        Share of what is accepted that people judge blind.
    ground_truth
        Whether what the votes confirm becomes ground truth; without it `consensus` does nothing.
    labels
        Lines by label.
    """

    source: Literal["suggestions", "prediction", "consensus"] = "suggestions"
    version: str | None = None
    accept_above: Score = 1.0
    review_below: Score = 0.0
    audit_share: Score = 0.05
    ground_truth: bool = False
    labels: dict[str, LabelSection] = {}

    @model_validator(mode="after")
    def _is_possible(self) -> "AutoFile":
        if (self.source == "prediction") != (self.version is not None):
            raise ValueError('source = "prediction" names a version, and no other source does')
        if (self.source == "consensus") != self.ground_truth:
            raise ValueError(
                'source = "consensus" makes what the votes confirm ground truth: say ground_truth = true with it, '
                "and with no other source"
            )
        for name in ("", *self.labels):
            lines = self.lines(name)
            if lines.review_below > lines.accept_above:
                raise ValueError(
                    f"{f'label {name!r}' if name else 'all labels'}: review_below {lines.review_below:g} is above "
                    f"accept_above {lines.accept_above:g}, so that scores between them would be both"
                )
        return self

    def lines(self, label: str) -> Lines:
        """Lines of a label."""
        own = self.labels.get(label, LabelSection())
        return Lines(
            self.accept_above if own.accept_above is None else own.accept_above,
            self.review_below if own.review_below is None else own.review_below,
        )


def changed_text(text: str, rules: AutoFile) -> str:
    """Return the text of a rules file with other rules in it; comments and what stays as it was are kept.

    Examples
    --------
    >>> print(changed_text("accept_above = 0.9  # for all", AutoFile(accept_above=0.8)))
    accept_above = 0.8  # for all
    """
    document = tomlkit.parse(text)
    tops = rules.model_dump(exclude={"labels"})
    _set(document, {name: None if _is_default(name, value, document) else value for name, value in tops.items()})
    if "labels" not in document and rules.labels:
        document["labels"] = tomlkit.table(is_super_table=True)
    tables = document.get("labels", {})
    for label in [label for label in tables if label not in rules.labels]:
        del tables[label]
    for label, section in rules.labels.items():
        if label not in tables:
            tables[label] = tomlkit.table()
        _set(tables[label], section.model_dump())
    return tomlkit.dumps(document)


def _is_default(name: str, value: object, document: Mapping[str, Any]) -> bool:
    """Tell whether a key need not be written."""
    return name not in document and value == AutoFile.model_fields[name].default


def _set(table: MutableMapping[str, Any], values: Mapping[str, Any]) -> None:
    """Let a table say other values; None: nothing."""
    for name, value in values.items():
        if value is None:
            table.pop(name, None)
        elif name not in table or table[name] != value:
            table[name] = value


def read_auto(path: Path) -> AutoFile:
    """Read the rules file, each key of which docs/assist.md explains."""
    return read_rules_file(AutoFile, path, "assist.md")

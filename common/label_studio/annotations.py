"""One reading of an annotation for both programs.

- Regions: two regions on one control are one answer. On a multiple choice it holds the choices of both; on a
  single choice the last one.
- A control that the annotator did not see (`visibleWhen`) is not answered, whatever a region says of it: Label
  Studio keeps what was chosen before it was hidden. Where a condition on regions may have hidden it, a blank says
  nothing.
- Of an annotator's annotations on a task the latest counts, and of equal times the one with the higher id. Times
  are compared as moments: with or without a fraction, in UTC or with an offset. A skip counts as the latest too:
  it takes back what was said before it.
- Of several ground truths the latest counts, for the last star is the last word; a skipped one is none.
- What another account has made of an annotation is not what its annotator says.
- Machine accounts never speak, but what somebody has starred is ground truth whoever wrote it.
- A deleted account leaves no name. Its annotations are taken for those of as many people, unless it is known whose
  they were: nobody's annotation hides another's.
- Drafts are no annotations: Label Studio keeps them apart from those that were submitted.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from common.label_studio.label_config import Condition, is_visible
from common.label_studio.suggestions import is_unanswered

MADE_WITHIN = timedelta(milliseconds=100)
"""Between creation and change of an annotation that nobody has changed: both times are set as it is stored."""
_EARLIEST = datetime.min.replace(tzinfo=UTC)


class Submitted(Protocol):
    """What decides which of a task's annotations count."""

    @property
    def id(self) -> int: ...  # noqa: D102
    @property
    def annotator(self) -> Hashable: ...  # noqa: D102
    @property
    def updated_at(self) -> str: ...  # noqa: D102
    @property
    def skipped(self) -> bool: ...  # noqa: D102
    @property
    def ground_truth(self) -> bool: ...  # noqa: D102


_Annotation = TypeVar("_Annotation", bound=Submitted)


@dataclass(frozen=True)
class Choices:
    """What the regions of an annotation or a prediction choose.

    Attributes
    ----------
    made : mapping of str to tuple of str
        By control, in the order of the regions; a choice can be there twice.
    faults : tuple of (str, str)
        Control, or "" where no control can be told, and what is no region there.
    """

    made: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    faults: tuple[tuple[str, str], ...] = ()


def choices_in(result: Iterable[object]) -> Choices:
    """Read the choices of all controls.

    Examples
    --------
    >>> region = {"from_name": "kind", "type": "choices", "value": {"choices": ["cat"]}}
    >>> choices_in([region, {**region, "value": {"choices": ["dog"]}}]).made
    {'kind': ('cat', 'dog')}
    >>> choices_in([{**region, "value": {"choices": []}, "suggested": ["cat"], "scores": {"cat": 0.4}}]).made
    {}
    """
    made: dict[str, tuple[str, ...]] = {}
    faults: list[tuple[str, str]] = []
    for region in result:
        if not isinstance(region, Mapping):
            faults.append(("", f"a region that is none: {region!r}"))
            continue
        name, value = str(region.get("from_name") or ""), region.get("value")
        choices = value.get("choices") if isinstance(value, Mapping) else None
        if is_unanswered(region):
            continue
        if isinstance(choices, list):
            made[name] = (*made.get(name, ()), *(str(choice) for choice in choices))
        elif region.get("type", "choices") == "choices":
            faults.append((name, f"a region on {name!r} without choices"))
    return Choices(made, tuple(faults))


def answer_on(
    control: str, made: Mapping[str, Sequence[str]], *, multiple: bool, conditions: Iterable[Condition] = ()
) -> tuple[str, ...] | None:
    """What the choices of all controls answer on one of them; None where it was not, or perhaps not, asked.

    Examples
    --------
    >>> answer_on("kind", {"kind": ("cat", "dog", "cat")}, multiple=True)
    ('cat', 'dog')
    >>> answer_on("kind", {"kind": ("cat", "dog", "cat")}, multiple=False)
    ('cat',)
    >>> when_dog = [Condition("choice-selected", "kind", ("dog",))]
    >>> answer_on("breed", {"kind": ("cat",), "breed": ("corgi",)}, multiple=False, conditions=when_dog)
    """
    chosen = tuple(made.get(control, ()))
    visible = is_visible(conditions, made)
    if visible is False or (visible is None and not chosen):
        return None
    return tuple(dict.fromkeys(chosen)) if multiple else chosen[-1:]


def counted(annotations: Iterable[_Annotation], machines: Collection[Hashable] = ()) -> list[_Annotation]:
    """The annotations of a task that count: each annotator's latest, and the latest ground truth."""
    latest: dict[tuple[bool, Hashable], _Annotation] = {}
    for annotation in sorted(annotations, key=lambda each: (moment_of(each.updated_at), each.id)):
        if annotation.ground_truth and not annotation.skipped:
            latest[True, None] = annotation
        elif annotation.annotator not in machines:
            latest[False, annotation.annotator] = annotation
    return list(latest.values())


def moment_of(text: str) -> datetime:
    """The moment that an ISO 8601 time means, in UTC where it names no offset; the earliest where it is none.

    Examples
    --------
    >>> moment_of("2026-01-31T12:00:00Z") < moment_of("2026-01-31T12:00:00.5Z") < moment_of("2026-01-31T12:00:01")
    True
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return _EARLIEST


def account_of(annotation: Mapping[str, Any]) -> int | None:
    """Id of the account that made an annotation, as Label Studio sends it; None where that is deleted."""
    account = annotation.get("completed_by")
    if isinstance(account, Mapping):
        account = account.get("id")
    return account if isinstance(account, int) and not isinstance(account, bool) else None


def changed_by(annotation: Mapping[str, Any]) -> int | None:
    """Id of the account that has changed an annotation of another; None where no other has.

    Who stores an annotation in another's name is named there, too, and so is whoever stars one.

    Examples
    --------
    >>> made = {"completed_by": 3, "updated_by": 1, "created_at": "2026-01-31T12:00:00.000010Z"}
    >>> changed_by(made | {"updated_at": "2026-01-31T12:00:00.000050Z"})
    >>> changed_by(made | {"updated_at": "2026-01-31T12:00:09.000050Z"})
    1
    """
    account = account_of({"completed_by": annotation.get("updated_by")})
    if account is None or account == account_of(annotation):
        return None
    made, changed = (moment_of(str(annotation.get(key))) for key in ("created_at", "updated_at"))
    return account if changed - made > MADE_WITHIN else None


def accounts_named(names: Iterable[str], accounts: Mapping[int, str]) -> dict[str, int | None]:
    """Ids of accounts that settings name by id or, in any case of its letters, by e-mail address.

    None where no account has that address.

    Examples
    --------
    >>> accounts_named(["7", "BOT@example.com", "nobody@example.com"], {3: "bot@example.com"})
    {'7': 7, 'BOT@example.com': 3, 'nobody@example.com': None}
    """
    by_address = {address.casefold(): number for number, address in accounts.items()}
    return {name: int(name) if name.isdecimal() else by_address.get(name.casefold()) for name in names}

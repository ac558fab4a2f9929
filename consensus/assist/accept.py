"""Accepting suggestions: what it would be, what to expect of it, and doing it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property

import numpy as np

from common.label_studio.label_config import is_visible
from common.progress import Progress, silent
from consensus.assist.batches import Performed, WriteOptions, perform, plan
from consensus.assist.suggestions import Group, Suggested, Suggestion
from consensus.core.arrays import Codes, Flags, Floats, Keys
from consensus.core.assist.expected import (
    Expectation,
    Threshold,
    conformal_share,
    expectation,
    fewest_judged,
    thresholds_for,
)
from consensus.core.review.sampling import uniform
from consensus.errors import ConfigError
from consensus.label_studio import Studio
from consensus.store.store import Store

AUDIT_SHARE = 0.05
"""Of what is accepted, so much is shown to one more person, blind."""


@dataclass(frozen=True)
class Request:
    """Which suggestions are to be accepted.

    Attributes
    ----------
    tasks : tuple of int
        Those alone; empty: all.
    label, control : str or None
        Of these alone.
    above : float or None
        Those with a greater score.
    target_precision : float or None
        Those for which the data promise it, label by label.
    limit : int or None
        So many, the surest.
    audit_share : float
        Share that people judge blind.
    given : str or None
        Of proposals: those in the place of this label alone.
    confidence : float or None
        Of proposals: those in the place of labels with at least this confidence.
    annotator : str or None
        Of proposals: those on which this annotator has a vote.
    lines : tuple of (str, tuple of str, float), optional
        Of suggestions, in the place of other thresholds: those of these controls and labels, from a score on.
    """

    tasks: tuple[int, ...] = ()
    label: str | None = None
    control: str | None = None
    above: float | None = None
    target_precision: float | None = None
    limit: int | None = None
    audit_share: float = AUDIT_SHARE
    given: str | None = None
    confidence: float | None = None
    annotator: str | None = None
    lines: tuple[tuple[str, tuple[str, ...], float], ...] | None = None

    def check(self) -> None:
        """Refuse what names no suggestions, or says something that is no share.

        Raises
        ------
        ConfigError
            With what to say instead.
        """
        if not self.tasks and self.above is None and self.target_precision is None and self.lines is None:
            raise ConfigError(
                "nothing says which suggestions to accept; name tasks (--task), a score (--above) or a precision "
                "(--target-precision)"
            )
        self.check_shares()

    def check_shares(self) -> None:
        """Refuse what is no share.

        Raises
        ------
        ConfigError
            With what to say instead.
        """
        for name, value in (("above", self.above), ("target-precision", self.target_precision)):
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"--{name} is {value:g}; use a number between 0 and 1")
        if self.target_precision in (0, 1):
            raise ConfigError(
                f"--target-precision is {self.target_precision:g}; use a number between 0 and 1, as in 0.98: data "
                "cannot promise that nothing is wrong"
            )


@dataclass(frozen=True)
class GroupOffer:
    """What would be accepted of one label.

    Attributes
    ----------
    suggestions, accepted : int
        How many are open, and how many would be accepted.
    above : float or None
        Lowest score that is accepted; None where nothing is.
    expected : Expectation
        Of those known above it.
    together : tuple of str
        Labels of which the promise is as a whole; empty where it is about this one alone.
    reason : str
        Why nothing can be promised; empty where it can be, or nothing was asked for.
    """

    control: str
    labels: tuple[str, ...]
    suggestions: int
    accepted: int
    above: float | None
    expected: Expectation
    together: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Offer:
    """What would be accepted, and what to expect of it.

    Attributes
    ----------
    places : (n,) int64
        Of what is chosen among the open suggestions, in descending confidence.
    expected : Expectation
        Of all suggestions known that would have been accepted as these are.
    conformal : float or None
        With gold: what the expected share wrong is at most, if gold was drawn at random.
    """

    request: Request
    suggested: Suggested
    places: Keys
    groups: list[GroupOffer]
    expected: Expectation
    conformal: float | None

    @property
    def n(self) -> int:
        """How many are chosen."""
        return len(self.places)

    def at(self, places: Iterable[int]) -> list[Suggestion]:
        """Return some of what is chosen, by their places in it."""
        rows = self.suggested.open.rows
        return [rows[self.places[place]] for place in places]

    @cached_property
    def chosen(self) -> list[Suggestion]:
        """All of it."""
        rows = self.suggested.open.rows
        return [rows[place] for place in self.places.tolist()]

    @cached_property
    def audits(self) -> frozenset[tuple[int, str]]:
        """Tasks, each with its control, that people judge blind: always the same, and no pattern."""
        suggested = self.suggested
        salt = f"{suggested.project.created_at} {suggested.project.id} {suggested.version} audit"
        drawn = uniform(suggested.open.task[self.places], salt) < self.request.audit_share
        return frozenset((each.task, each.control) for each in self.at(np.flatnonzero(drawn).tolist()))


def offer(suggested: Suggested, request: Request) -> Offer:
    """Choose suggestions that nobody has said anything about, and tell what to expect of them.

    Raises
    ------
    ConfigError
        Where the request names no suggestions, or what is not there.
    """
    request.check()
    tags = (each.control.tag for each in suggested.votes.controls)
    check_names({tag.name: tag.labels for tag in tags}, suggested.project.id, request)
    lines, rows = _lines_of(suggested, request), suggested.open
    is_asked = np.array([_is_of(group, request) for group in suggested.groups], dtype=bool)
    in_question = is_asked[rows.group]
    if request.tasks:
        in_question &= np.isin(rows.task, request.tasks)
    counts = np.bincount(rows.group[in_question], minlength=len(lines))
    places = np.flatnonzero(in_question & _admitted(lines, rows.group, rows.score))[: request.limit]
    accepted = np.bincount(rows.group[places], minlength=len(lines))
    lowest = np.zeros(len(lines))
    lowest[rows.group[places]] = rows.score[places]  # that of the last place stays
    names = list(suggested.groups)
    groups = [
        _group_offer(
            suggested, request, names[number], lines[number], int(counts[number]), int(accepted[number]),
            float(lowest[number]) if accepted[number] else None,
        )
        for number in np.flatnonzero(counts).tolist()
    ]  # fmt: skip
    judged = suggested.judged
    judged = judged.where((counts > 0)[judged.group] & _admitted(lines, judged.group, judged.score))
    decided = judged.where(judged.decided)
    if request.target_precision is not None and len(decided) >= fewest_judged(request.target_precision):
        judged = decided  # as the promise does
    return Offer(
        request,
        suggested,
        places,
        groups,
        expectation(judged),
        _conformal(suggested, request, lines, is_asked, int(counts.sum()), len(places)),
    )


def accept(
    studio: Studio,
    store: Store,
    offered: Offer,
    by: str,
    now: Callable[[], datetime],
    progress: Progress = silent,
) -> Performed | None:
    """Accept what was offered: the machine account annotates, and the tasks are closed; None where it is nothing.

    Parameters
    ----------
    by : str
        Address of the account that asks for it.
    """
    if not offered.n:
        return None
    suggested, request = offered.suggested, offered.request
    by_group = {(each.control, each.labels): each for each in offered.groups}
    shut = _tasks_shut(offered)
    items: list[dict[str, object]] = []
    for each in offered.chosen:
        group = by_group[each.group]
        evidence: dict[str, object] = {
            "score": each.score,
            "prediction": each.prediction,
            "expected_wrong": [round(bound, 4) for bound in (group.expected.lower, group.expected.upper)],
            "judged": group.expected.n,
        }
        if (each.task, each.control) in offered.audits:
            evidence["audit"] = True
        elif each.task not in shut:
            evidence["keep_open"] = True
        items.append(
            {"task": each.task, "control": each.control, "labels": list(each.labels), "evidence": evidence}
        )
    batch = plan(
        store,
        suggested.project.id,
        "accept",
        items,
        made_by=by,
        now=now(),
        options=WriteOptions(model_version=suggested.version),
        filtered={name: value for name, value in asdict(request).items() if value not in (None, ())},
        params={
            "model_version": suggested.version,
            "target_precision": request.target_precision,
            "expected": _finite(asdict(offered.expected)),
            "thresholds": {f"{each.control}: {' + '.join(each.labels)}": each.above for each in offered.groups},
        },
    )
    return perform(studio, store, batch, now, progress)


@dataclass(frozen=True)
class _Line:
    """From which score on, and why not."""

    score: float | None
    is_exclusive: bool = False
    threshold: Threshold | None = None
    together: tuple[str, ...] = ()


def check_names(controls: Mapping[str, Sequence[str]], project: int, request: Request) -> None:
    """Refuse a request for a control or label that is not there.

    Parameters
    ----------
    controls : mapping of str to sequence of str
        The labels of each control of the project.

    Raises
    ------
    ConfigError
        With those that are.
    """
    if request.control is not None and request.control not in controls:
        raise ConfigError(f"project {project} has no control {request.control!r}; it has {', '.join(controls)}")
    if request.label is not None and not any(request.label in labels for labels in controls.values()):
        raise ConfigError(
            f"{request.label!r} is a label of no control of project {project}: "
            + "; ".join(f"{name} has {', '.join(labels)}" for name, labels in controls.items())
        )


def _admitted(lines: Sequence[_Line], group: Codes, score: Floats) -> Flags:
    """Tell which suggestions the lines of their groups admit."""
    lowest = np.array([np.inf if line.score is None else line.score for line in lines])[group]
    is_exclusive = np.array([line.is_exclusive for line in lines], dtype=bool)[group]
    return np.where(is_exclusive, score > lowest, score >= lowest)


def _is_of(group: Group, request: Request) -> bool:
    control, labels = group
    return request.label in (None, *labels) and request.control in (None, control)


def _lines_of(suggested: Suggested, request: Request) -> list[_Line]:
    """Return the line of each group: what is asked for, but not below what promises a precision that is."""
    least = _Line(-1.0 if request.above is None else request.above, is_exclusive=True)
    if request.lines is not None:
        own = {(control, labels): score for control, labels, score in request.lines}
        return [_Line(own.get(group)) for group in suggested.groups]
    if request.target_precision is None:
        return [least] * len(suggested.groups)
    lines, names = [], [group_name(group) for group in suggested.groups]
    together: dict[tuple[int, ...], tuple[str, ...]] = {}
    for threshold in thresholds_for(suggested.judged, len(suggested.groups), request.target_precision):
        numbers = threshold.groups if len(threshold.groups) > 1 and threshold.score is not None else ()
        if numbers not in together:  # often the same for many groups
            together[numbers] = tuple(names[number] for number in numbers)
        promised_from = threshold.score
        stricter = promised_from is not None and least.score is not None and least.score >= promised_from
        score = least.score if stricter else promised_from
        lines.append(_Line(score, is_exclusive=stricter, threshold=threshold, together=together[numbers]))
    return lines


def _group_offer(
    suggested: Suggested,
    request: Request,
    group: Group,
    line: _Line,
    suggestions: int,
    accepted: int,
    lowest: float | None,
) -> GroupOffer:
    judged = suggested.judged_groups[suggested.groups[group]]
    own = expectation(judged.where(_admitted([line], np.zeros_like(judged.group), judged.score)))
    reason = ""
    if line.threshold is not None and (line.together or line.threshold.score is None):
        own = line.threshold.expected
    if line.threshold is not None and line.threshold.score is None:
        reason = _why_not(own, request.target_precision or 0.0)
    return GroupOffer(group[0], group[1], suggestions, accepted, lowest, own, line.together, reason)


def _why_not(expected: Expectation, precision: float) -> str:
    least = fewest_judged(precision)
    if expected.n < least:
        return (
            f"{expected.n} of its suggestions have been judged since; {precision:g} takes at least {least}, none "
            "of them wrong"
        )
    return f"of {expected.n} judged suggestions {expected.wrong:.1f} are wrong"


def group_name(group: Group) -> str:
    """Name what is suggested on a control."""
    return f"{group[0]}: {' + '.join(group[1])}"


def _conformal(
    suggested: Suggested,
    request: Request,
    lines: Sequence[_Line],
    is_asked: Flags,
    open_count: int,
    chosen_count: int,
) -> float | None:
    """Bound the expected share wrong by the gold tasks, whose suggestions were made before they were annotated.

    Those count that are of the label or control that is asked for, and of which it was decided whether they are
    right. Of tasks that somebody has named they say nothing: those are no random draw.
    """
    gold = suggested.judged_gold
    counts = is_asked[gold.group]
    if request.tasks or not counts.any():
        return None
    wrong = counts & gold.wrong & _admitted(lines, gold.group, gold.score)
    return conformal_share(int(wrong.sum()), int(counts.sum()), open_count, chosen_count)


def _tasks_shut(offered: Offer) -> frozenset[int]:
    """Return the tasks about which nothing is left to be asked once this is accepted."""
    chosen: dict[int, dict[str, tuple[str, ...]]] = {}
    for each in offered.chosen:
        chosen.setdefault(each.task, {})[each.control] = each.labels
    decided: dict[int, set[str]] = {}
    for each in offered.suggested.suggestions:
        if each.decided and each.task in chosen:
            decided.setdefault(each.task, set()).add(each.control)
    tags = [collected.control.tag for collected in offered.suggested.votes.controls]
    return frozenset(
        task
        for task, made in chosen.items()
        if all(
            tag.name in made
            or tag.name in decided.get(task, ())
            or (tag.conditions and is_visible(tag.conditions, made) is False)
            for tag in tags
        )
    )


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in values.items()}

"""Accepting suggestions: what it would be, what to expect of it, and doing it."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import chain

import numpy as np

from common.label_studio.label_config import is_visible
from common.progress import Progress, silent
from consensus.assist.batches import Performed, WriteOptions, perform, plan
from consensus.assist.suggestions import Group, Suggested, Suggestion
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

    def check(self) -> None:
        """Refuse what names no suggestions, or says something that is no share.

        Raises
        ------
        ConfigError
            With what to say instead.
        """
        if not self.tasks and self.above is None and self.target_precision is None:
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
    chosen : list of Suggestion
        In descending confidence.
    expected : Expectation
        Of all suggestions known that would have been accepted as these are.
    conformal : float or None
        With gold: what the expected share wrong is at most, if gold was drawn at random.
    audits : frozenset of (int, str)
        Tasks, each with its control, that people judge blind.
    """

    request: Request
    suggested: Suggested
    chosen: list[Suggestion]
    groups: list[GroupOffer]
    expected: Expectation
    conformal: float | None
    audits: frozenset[tuple[int, str]]


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
    tasks = frozenset(request.tasks)
    thresholds = _thresholds(suggested, request)
    open_groups = {group: rows for group, rows in suggested.open_groups.items() if _is_of(group, request)}
    if tasks:
        among = {group: [each for each in rows if each.task in tasks] for group, rows in open_groups.items()}
        open_groups = {group: rows for group, rows in among.items() if rows}
    admitted = (_admitted(rows, thresholds[group]) for group, rows in open_groups.items())
    chosen = sorted(chain.from_iterable(admitted), key=_by_confidence)[: request.limit]
    counts = {group: len(rows) for group, rows in open_groups.items()}
    accepted = Counter(each.group for each in chosen)
    lowest = {each.group: each.score for each in chosen}
    groups = [
        _group_offer(
            suggested, request, group, thresholds[group], counts[group], accepted[group], lowest.get(group)
        )
        for group in sorted(counts)
    ]
    passes = np.array([thresholds[group].admits(score) for group, score in _judged_pairs(suggested)], dtype=bool)
    in_question = np.array([group in counts for group, _ in _judged_pairs(suggested)], dtype=bool)
    judged = suggested.judged.where(passes & in_question)
    decided = judged.where(judged.decided)
    if request.target_precision is not None and len(decided) >= fewest_judged(request.target_precision):
        judged = decided  # as the promise does
    return Offer(
        request,
        suggested,
        chosen,
        groups,
        expectation(judged),
        _conformal(suggested, request, thresholds, sum(counts.values()), len(chosen)),
        _audits(suggested, chosen, request.audit_share),
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
    if not offered.chosen:
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

    def admits(self, score: float) -> bool:
        if self.score is None:
            return False
        return score > self.score if self.is_exclusive else score >= self.score


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


def _admitted(rows: Sequence[Suggestion], line: _Line) -> Sequence[Suggestion]:
    """Return those of suggestions in descending confidence that a line admits."""
    return rows[: bisect_left(rows, True, key=lambda each: not line.admits(each.score))]  # noqa: FBT003


def _by_confidence(suggestion: Suggestion) -> tuple[float, int, str]:
    return -suggestion.score, suggestion.task, suggestion.control


def _is_of(group: Group, request: Request) -> bool:
    control, labels = group
    return request.label in (None, *labels) and request.control in (None, control)


def _thresholds(suggested: Suggested, request: Request) -> Mapping[Group, _Line]:
    """Return the line of each group: what is asked for, but not below what promises a precision that is."""
    least = _Line(-1.0 if request.above is None else request.above, is_exclusive=True)
    if request.target_precision is None:
        return dict.fromkeys(suggested.groups, least)
    promised = thresholds_for(suggested.judged, len(suggested.groups), request.target_precision)
    lines = {}
    for group, number in suggested.groups.items():
        threshold = promised[number]
        promised_from = threshold.score
        stricter = promised_from is not None and least.score is not None and least.score >= promised_from
        score = least.score if stricter else promised_from
        lines[group] = _Line(score, is_exclusive=stricter, threshold=threshold)
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
    judged = suggested.judged.where(suggested.judged.group == suggested.groups[group])
    own = expectation(judged.where(np.array([line.admits(score) for score in judged.score], dtype=bool)))
    together: tuple[str, ...] = ()
    reason = ""
    if line.threshold is not None:
        names = {number: group_name(each) for each, number in suggested.groups.items()}
        if line.threshold.score is None:
            own = line.threshold.expected
            reason = _why_not(own, request.target_precision or 0.0)
        elif len(line.threshold.groups) > 1:
            together = tuple(names[number] for number in line.threshold.groups)
            own = line.threshold.expected
    return GroupOffer(group[0], group[1], suggestions, accepted, lowest, own, together, reason)


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


def _judged_pairs(suggested: Suggested) -> Iterator[tuple[Group, float]]:
    names = {number: group for group, number in suggested.groups.items()}
    for number, score in zip(suggested.judged.group.tolist(), suggested.judged.score.tolist(), strict=True):
        yield names[number], score


def _conformal(
    suggested: Suggested,
    request: Request,
    lines: Mapping[Group, _Line],
    open_count: int,
    chosen_count: int,
) -> float | None:
    """Bound the expected share wrong by the gold tasks, whose suggestions were made before they were annotated.

    Those count that are of the label or control that is asked for, and of which it was decided whether they are
    right. Of tasks that somebody has named they say nothing: those are no random draw.
    """
    if request.tasks:
        return None
    gold = wrong = 0
    for task, group, score in suggested.judged_gold:
        truth = suggested.truths.right(task, group)
        if truth is not None and truth[1] and group in lines and _is_of(group, request):
            gold += 1
            wrong += lines[group].admits(score) and truth[0] < 1
    return conformal_share(wrong, gold, open_count, chosen_count) if gold else None


def _audits(suggested: Suggested, chosen: Sequence[Suggestion], share: float) -> frozenset[tuple[int, str]]:
    """Draw whom people judge blind: the same whenever it is asked for, and no pattern."""
    tasks = np.array([each.task for each in chosen], dtype=np.int64)
    places = uniform(tasks, f"{suggested.project.created_at} {suggested.project.id} {suggested.version} audit")
    return frozenset(
        (each.task, each.control) for each, place in zip(chosen, places.tolist(), strict=True) if place < share
    )


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

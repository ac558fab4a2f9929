"""What the two programs, their users and scripts rely on: names of reports and versions, kinds, exit statuses.

Consensus writes each classification of a report as a prediction of the version `consensus/<report>`: one region
with one choice and, as score, the confidence that the choice is right. On a verification the choice is the answer
that the report stands for. MisClassified shows what is right in the place of the given label, as far as the votes
say that. The region's `meta` says which label is wrong, of which kind the control is and, in words for people,
why; and it bears a signature: Label Studio does not tell who wrote a prediction, and any member can write one.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

VERSION_PREFIX = "consensus/"
"""Of the model versions under which consensus writes its reports."""

ReportName = Literal["AllConfirmed", "MisClassified", "Discovered", "Controversial", "NoVotes", "Undecided"]
REPORT_NAMES: tuple[ReportName, ...] = get_args(ReportName)
"""The five reports in the order in which a person reads them, and what has votes and is in none of them."""
UNDECIDED: ReportName = "Undecided"
"""It asks for one more vote; `consensus score` leaves it unnamed."""

ControlKind = Literal["choices", "verification"]
"""Annotators choose labels, or they say yes, no or unsure to the label that the task came with."""

LEFT_OUT = 3
"""Exit status of a command that left something out, as is printed; `SuiteError.status` is that of nothing done."""

BELOW_TARGET = 4
"""Exit status of a command that measured a precision below what was asked for."""

META = "consensus"
"""Key of a region's `meta` under which consensus writes."""

GIVEN = "given"
"""Key of a suggestion's region under which the ML backend says how likely the task's given label is right."""

MACHINE_ACCOUNT = "consensus@machine.invalid"
"""Address of the account that writes what a machine decided; it never votes and never teaches."""


class DecisionMark(NamedTuple):
    """What the regions of an annotation say that consensus wrote for somebody who decided.

    Attributes
    ----------
    batch : str
        Id of the batch of writes that it belongs to.
    teaches : bool
        Whether it may measure annotators: not where the item was chosen because of their votes.
    starred : tuple of int
        Annotations that were ground truth before: Label Studio takes the star off all others of a task.
    """

    batch: str
    teaches: bool
    starred: tuple[int, ...] = ()


def decision_meta(mark: DecisionMark) -> dict[str, Any]:
    """Return the `meta` of a region of a decision."""
    starred = {"starred": list(mark.starred)} if mark.starred else {}
    return {META: {"batch": mark.batch, "teaches": mark.teaches, **starred}}


def decision_in(result: object) -> DecisionMark | None:
    """Read by which decision an annotation was written; None where it was by none.

    Examples
    --------
    >>> decision_in([{"from_name": "kind", "meta": decision_meta(DecisionMark("5f0c", False))}])
    DecisionMark(batch='5f0c', teaches=False, starred=())
    >>> decision_in([{"from_name": "kind"}]) is None
    True
    """
    for meta in _metas_in(result):
        written = meta[META]
        if isinstance(written.get("batch"), str):
            starred = written.get("starred")
            numbers = [each for each in starred if type(each) is int] if isinstance(starred, list) else []
            return DecisionMark(written["batch"], written.get("teaches") is True, tuple(numbers))
    return None


def is_of_report(result: object) -> bool:
    """Whether regions are those of a report, as consensus has written it or somebody has taken it over.

    With a prediction, Label Studio forgets which annotations were made from it; their regions keep their `meta`.

    Examples
    --------
    >>> is_of_report([{"from_name": "kind", "meta": {META: {"kind": "choices", "signature": "5f0c"}}}])
    True
    >>> is_of_report([{"from_name": "kind", "meta": decision_meta(DecisionMark("5f0c", False))}])
    False
    """
    return any("signature" in meta[META] for meta in _metas_in(result))


class Accusation(NamedTuple):
    """What MisClassified says of a label, and Undecided where another is more likely: its region shows that one.

    Attributes
    ----------
    label : str
        The label that is wrong, or doubted.
    confidence : float
        That it is right, in [0, 1], a lower bound.
    """

    label: str
    confidence: float


class GivenLabel(NamedTuple):
    """What a model says of the label that a task came with.

    Attributes
    ----------
    label : str
    probability : float
        That it is right, in [0, 1], by what was not taught this label.
    """

    label: str
    probability: float


def given_part(given: GivenLabel) -> dict[str, Any]:
    """Return what a suggestion's region says of the given label; Label Studio shows nothing of it."""
    return {GIVEN: given._asdict()}


def given_in(region: object) -> GivenLabel | None:
    """Read what a suggestion's region says of the given label; None where it says nothing.

    Examples
    --------
    >>> given_in({"from_name": "kind", **given_part(GivenLabel("cat", 0.25))})
    GivenLabel(label='cat', probability=0.25)
    """
    written = region.get(GIVEN) if isinstance(region, Mapping) else None
    content = written if isinstance(written, Mapping) else {}
    label, probability = content.get("label"), content.get("probability")
    if not isinstance(label, str) or isinstance(probability, bool) or not isinstance(probability, int | float):
        return None
    return GivenLabel(label, float(probability)) if 0 <= probability <= 1 else None


def signed_meta(
    secret: str,
    task: int,
    version: str,
    score: float,
    region: Mapping[str, Any],
    kind: ControlKind,
    accusation: Accusation | None = None,
    why: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a region's `meta`: the kind of its control, and the signature of who knows the secret.

    The signature is over all that is said: task, report, score, control, choices, kind, which label is wrong, why.

    Parameters
    ----------
    why : sequence of str
        In words for people; Label Studio shows what stands under `text`.
    """
    wrong = {"label": accusation.label, "confidence": round(accusation.confidence, 6)} if accusation else {}
    signature = _signature(secret, task, version, score, region, kind, accusation, why)
    words = {"text": [*why]} if why else {}
    return {**words, META: {"kind": kind, **wrong, "signature": signature}}


def accusation_in(result: object) -> Accusation | None:
    """Read which label the region of a report calls wrong; None where it calls none so.

    Examples
    --------
    >>> region = {"from_name": "kind", "value": {"choices": ["dog"]}}
    >>> wrong = Accusation("cat", 0.02)
    >>> meta = signed_meta("secret", 7, "consensus/MisClassified", 0.9, region, "choices", wrong, ["4 say dog"])
    >>> accusation_in([{**region, "meta": meta}])
    Accusation(label='cat', confidence=0.02)
    """
    written = _meta_in(result)[META]
    label, confidence = written.get("label"), written.get("confidence")
    if not isinstance(label, str) or isinstance(confidence, bool) or not isinstance(confidence, int | float):
        return None
    return Accusation(label, float(confidence))


def signed_kind(secret: str, task: int, prediction: Mapping[str, Any]) -> ControlKind | None:
    """Kind of the control of a prediction that consensus has signed; None where it did not, or holds no region.

    Examples
    --------
    >>> region = {"from_name": "kind", "value": {"choices": ["cat"]}}
    >>> signed = {**region, "meta": signed_meta("secret", 7, "consensus/Discovered", 0.9, region, "choices")}
    >>> prediction = {"model_version": "consensus/Discovered", "score": 0.9, "result": [signed]}
    >>> signed_kind("secret", 7, prediction)
    'choices'
    >>> signed_kind("secret", 7, {**prediction, "score": 0.99}) is None
    True
    """
    version, score, result = (prediction.get(key) for key in ("model_version", "score", "result"))
    written, why = _meta_in(result)[META], words_in(result)
    kind = next((each for each in get_args(ControlKind) if each == written.get("kind")), None)
    if kind is None or not secret or isinstance(score, bool) or not isinstance(score, int | float):
        return None
    if not isinstance(result, Sequence) or len(result) != 1:
        return None
    expected = _signature(secret, task, str(version), score, result[0], kind, accusation_in(result), why)
    return kind if hmac.compare_digest(expected.encode(), str(written.get("signature")).encode()) else None


def words_in(result: object) -> tuple[str, ...]:
    """Read why a report says what it says, in words for people."""
    text = _meta_in(result).get("text")
    return tuple(map(str, text)) if isinstance(text, list) else ()


def _metas_in(result: object) -> Iterator[Mapping[str, Any]]:
    """Yield the `meta` of each region under which consensus has written."""
    for region in result if isinstance(result, Sequence) else ():
        meta = region.get("meta") if isinstance(region, Mapping) else None
        if isinstance(meta, Mapping) and isinstance(meta.get(META), Mapping):
            yield meta


def _meta_in(result: object) -> Mapping[str, Any]:
    return next(_metas_in(result), {META: {}})


def _signature(
    secret: str,
    task: int,
    version: str,
    score: float,
    region: Mapping[str, Any],
    kind: ControlKind,
    accusation: Accusation | None,
    why: Sequence[str],
) -> str:
    value = region.get("value")
    choices = value.get("choices") if isinstance(value, Mapping) else None
    content: tuple[object, ...] = (
        task,
        version,
        f"{score:.6f}",
        str(region.get("from_name")),
        [str(choice) for choice in choices or ()],
        kind,
    )
    if accusation:
        content += (accusation.label, f"{accusation.confidence:.6f}")
    if why:
        content += (list(why),)
    return hmac.new(secret.encode(), repr(content).encode(), hashlib.sha256).hexdigest()[:32]

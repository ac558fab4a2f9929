"""What a reviewer rules on an item, and the labels that this stands for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from consensus.core.review.names import RulingName
from consensus.core.votes.votes import Choice
from consensus.errors import ConfigError

SETTLES: tuple[RulingName, ...] = ("keep", "accept", "correct")
"""Rulings that name labels; the others decide on the work alone."""
EVEN = 0.5
"""Labels of a multiple choice with a larger posterior are proposed, as answers of yes are."""


@dataclass(frozen=True)
class Ruling:
    """What a reviewer says of a control of a task.

    Attributes
    ----------
    labels : tuple of str
        For `correct`: the right ones; none is an answer to a multiple choice.
    """

    task: int
    control: str
    name: RulingName
    labels: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Question:
    """What is asked of a control of a task.

    Attributes
    ----------
    labels : tuple of str
        That can be chosen.
    given : tuple of str
        Labels that the task came with.
    posterior : mapping of str to float
        Of its labels, as far as they are known.
    answers : mapping of str to {"yes", "no", "unsure"}
        Of a verification: what each choice says of the given label.
    """

    labels: tuple[str, ...]
    choice: Choice
    given: tuple[str, ...] = ()
    posterior: Mapping[str, float] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)

    @property
    def proposed(self) -> tuple[str, ...]:
        """Labels that the evidence prefers, as they are chosen: of equal ones the first, or none."""
        if self.choice == "each":
            is_right = all(self.posterior.get(label, 0.0) > EVEN for label in self.given)
            return self._saying("yes" if is_right else "no") if self.given and self.posterior else ()
        scored = [label for label in self.labels if label in self.posterior]
        if self.choice == "single":
            return (max(scored, key=lambda label: self.posterior[label]),) if scored else ()
        return tuple(label for label in scored if self.posterior[label] > EVEN)

    @property
    def kept(self) -> tuple[str, ...]:
        """The given labels, as they are chosen."""
        return self._saying("yes") if self.choice == "each" and self.given else self.given

    def _saying(self, meaning: str) -> tuple[str, ...]:
        return tuple(label for label in self.labels if self.answers.get(label) == meaning)[:1]


def ruled(ruling: Ruling, question: Question) -> tuple[str, ...]:
    """Return the labels that a ruling stands for, as an annotation chooses them.

    Raises
    ------
    ConfigError
        Where it stands for none, or for what cannot be chosen.

    Examples
    --------
    >>> question = Question(("cat", "dog"), "single", ("cat",), {"cat": 0.1, "dog": 0.9})
    >>> ruled(Ruling(7, "kind", "accept"), question)
    ('dog',)
    """
    if ruling.name == "keep":
        if not question.kept:
            raise ConfigError("the task came with no label that could be kept; choose one")
        return question.kept
    if ruling.name == "accept":
        if not question.proposed and question.choice != "multiple":
            raise ConfigError("no label is proposed; choose one")
        return question.proposed
    strange = [label for label in ruling.labels if label not in question.labels]
    if strange:
        raise ConfigError(
            f"{strange[0]!r} is no choice of {ruling.control!r}; choose {', '.join(question.labels)}"
        )
    if question.choice != "multiple" and len(ruling.labels) != 1:
        raise ConfigError(f"{ruling.control!r} takes one label, not {len(ruling.labels)}")
    if question.answers.get(ruling.labels[0] if ruling.labels else "") == "unsure":
        raise ConfigError(f"{ruling.labels[0]!r} decides nothing; where no label can be told, it is `unusable`")
    return tuple(dict.fromkeys(ruling.labels))

"""What a reviewer rules, and the labels that it stands for."""

import pytest

from consensus.core.review.names import RulingName
from consensus.core.review.rulings import Question, Ruling, ruled
from consensus.errors import ConfigError

SINGLE = Question(("cat", "dog", "owl"), "single", ("cat",), {"cat": 0.2, "dog": 0.4, "owl": 0.4})
MULTIPLE = Question(("fur", "wings"), "multiple", ("fur",), {"fur": 0.6, "wings": 0.7})
CHECK = Question(
    ("Yes", "No", "Unsure"), "each", ("cat",), {"cat": 0.3}, {"Yes": "yes", "No": "no", "Unsure": "unsure"}
)


def labels(name: RulingName, question: Question, *chosen: str) -> tuple[str, ...]:
    """Of a ruling."""
    return ruled(Ruling(1, "kind", name, chosen), question)


def test_the_given_label_is_kept() -> None:
    """Of a verification that is the answer yes."""
    assert labels("keep", SINGLE) == ("cat",)
    assert labels("keep", MULTIPLE) == ("fur",)
    assert labels("keep", CHECK) == ("Yes",)


def test_what_is_proposed_is_accepted() -> None:
    """The most probable label, of equal ones the first; of a multiple choice all that are rather right."""
    assert labels("accept", SINGLE) == ("dog",)
    assert labels("accept", MULTIPLE) == ("fur", "wings")
    assert labels("accept", Question(("fur",), "multiple", (), {"fur": 0.1})) == ()
    assert labels("accept", CHECK) == ("No",)


def test_another_label_is_chosen() -> None:
    """Once each, and of a multiple choice none as well."""
    assert labels("correct", SINGLE, "owl") == ("owl",)
    assert labels("correct", MULTIPLE, "wings", "wings") == ("wings",)
    assert labels("correct", MULTIPLE) == ()
    assert labels("correct", CHECK, "No") == ("No",)


@pytest.mark.parametrize(
    ("name", "question", "chosen", "why"),
    [
        ("keep", Question(("cat",), "single"), (), "no label that could be kept"),
        ("accept", Question(("cat",), "single"), (), "no label is proposed"),
        ("accept", Question(("Yes", "No"), "each"), (), "no label is proposed"),
        ("correct", SINGLE, ("bat",), "'bat' is no choice of 'kind'; choose cat, dog, owl"),
        ("correct", SINGLE, (), "takes one label, not 0"),
        ("correct", SINGLE, ("cat", "dog"), "takes one label, not 2"),
        ("correct", CHECK, ("Unsure",), "decides nothing"),
    ],
)
def test_what_stands_for_no_label_is_refused(
    name: RulingName, question: Question, chosen: tuple[str, ...], why: str
) -> None:
    """With what can be done instead."""
    with pytest.raises(ConfigError, match=why):
        labels(name, question, *chosen)

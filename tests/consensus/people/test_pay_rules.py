"""The rules file of the pay."""

import re
from pathlib import Path

import pytest

from consensus.core.people.pay import Best, Rules, Tier
from consensus.errors import ConfigError
from consensus.people.pay_rules import read_rules

ROOT = Path(__file__).parents[3]
LEAST = 'unit = "EUR cent"\nper_vote = 4\n'


def rules(text: str) -> Path:
    """A rules file."""
    path = Path("pay.toml")
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_is_understood() -> None:
    """config/pay.toml says what its comments say."""
    assert read_rules(ROOT / "config" / "pay.toml").core() == Rules(
        unit="EUR cent",
        per_vote=4,
        tiers=(Tier(0.9, 25), Tier(0.7, 10)),
        rejected=frozenset({"spam", "same answer"}),
        best=Best(2000, 200),
    )


def test_the_rules_of_the_docs_are_understood() -> None:
    """The example of docs/people.md has every key."""
    text = (ROOT / "docs" / "people.md").read_text(encoding="utf-8")
    found = read_rules(rules(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0]))
    assert found.model_fields_set == set(type(found).model_fields)
    assert found.core().pardoned == {"annotator1@example.com"}


def test_the_least_that_rules_say() -> None:
    """A unit and a rate; spam is not paid unless the rules say otherwise."""
    found = read_rules(rules(LEAST)).core()
    assert found == Rules("EUR cent", 4, rejected=frozenset({"spam", "same answer"}))
    assert read_rules(rules(LEAST + "reject = []\n")).core().rejected == frozenset()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "unit: Field required"),
        (LEAST + "per_vot = 5\n", "per_vot: Extra inputs are not permitted"),
        ('unit = "EUR cent"\nper_vote = 0.04\n', "per_vote: Input should be a valid integer"),
        ('unit = "EUR cent"\nper_vote = true\n', "per_vote: Input should be a valid integer"),
        ('unit = "EUR cent"\nper_vote = -1\n', "per_vote: Input should be greater than or equal to 0"),
        (
            LEAST + "[[tiers]]\ntrust = 1.5\nbonus_percent = 10\n",
            "tiers.0.trust: Input should be less than or equal",
        ),
        (LEAST + "[[tiers]]\ntrust = nan\nbonus_percent = 10\n", "tiers.0.trust: Input should be"),
        (
            LEAST + "[[tiers]]\ntrust = 0.5\nbonus_percent = 2.5\n",
            "tiers.0.bonus_percent: Input should be a valid int",
        ),
        (LEAST + 2 * "[[tiers]]\ntrust = 0.5\nbonus_percent = 1\n", "two tiers begin at the same trust"),
        (LEAST + 'reject = ["spamm"]\n', "reject.0: Input should be 'spam'"),
        (
            LEAST + "[best_annotator]\nbonus = 5\nmin_votes = 0\n",
            "best_annotator.min_votes: Input should be greater",
        ),
        ("unit = ", "is no TOML"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused(text: str, words: str) -> None:
    """The key and what is wrong with it are named."""
    with pytest.raises(ConfigError, match=r"rules file pay.toml") as error:
        read_rules(rules(text))
    assert words in str(error.value)


def test_a_rules_file_that_is_not_there_is_named() -> None:
    """And one that is no text."""
    with pytest.raises(ConfigError, match=r"nowhere.toml cannot be read: No such file"):
        read_rules(Path("nowhere.toml"))
    Path("pay.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is no TOML"):
        read_rules(Path("pay.toml"))

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_label_matrices import confusion_from, drawn_confusion
from made_votes import few_examples
from statsmodels.stats.proportion import proportion_confint

from consensus.core.model.confusion_matrices import ConfusionMatrices
from consensus.core.model.trust import FittedModel, fitted_model

CERTAIN, GUESS = [[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]


def summed_up(confusion: ConfusionMatrices, trust: list[float] | None = None) -> FittedModel:
    """Trust learned, unless given, from rates."""
    fixed = np.full(len(confusion.table), np.nan) if trust is None else np.array(trust)
    return fitted_model(confusion, 0.0, 1.0, fixed)


@pytest.mark.parametrize(
    ("rows", "trust"),
    [
        (CERTAIN, 1),
        (GUESS, 0),
        ([[1.0, 0.0], [1.0, 0.0]], 0),
        ([[0.0, 1.0], [1.0, 0.0]], 0),
        ([[0.9, 0.1], [0.4, 0.6]], 0.5),
        ([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]], 0.55),
        ([[1.0]], 0),
    ],
)
def test_trust_is_chance_corrected(rows: list[list[float]], trust: float) -> None:
    """0.9 + 0.6 - 1 is 0.5; (2.1 / 3 - 1/3) / (2/3) is 0.55; guessing, monotony and contradiction are 0."""
    assert summed_up(confusion_from([rows])).trust.tolist() == [pytest.approx(trust)]


def test_interval_of_one_class_pair_is_wilsons() -> None:
    """Two rates of 3/4 vary by 3/16 over 20 votes and the prior each, and with the accuracy that they lean on."""
    confusion = confusion_from([[[3 / 4, 1 / 4], [1 / 4, 3 / 4]]], evidence=[[19, 19]])
    found = summed_up(confusion)
    own, prior, right = confusion.own_strength, confusion.strength, confusion.accuracy[0]
    apart = 3 / 16 / (20 + prior) / 2
    together = (prior / (19 + prior)) ** 2 * right * (1 - right) / (39 + own)
    votes = 3 / 16 / (apart + together)
    low, high = proportion_confint(3 / 4 * votes, votes, method="wilson", alpha=0.05)
    assert found.trust_low[0] == pytest.approx(2 * low - 1, abs=1e-4)
    assert found.trust_high[0] == pytest.approx(2 * high - 1, abs=1e-4)


@few_examples
@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 999), st.floats(0, 1e6))
def test_interval_holds_the_trust(n_annotators: int, n_classes: int, seed: int, votes: float) -> None:
    """Trust and its bounds are in order and in [0, 1]; ten times the votes make the interval no wider."""
    confusion = drawn_confusion(n_annotators, n_classes, seed)
    few = confusion_from(confusion.table, evidence=np.full((n_annotators, n_classes), votes))
    many = confusion_from(confusion.table, evidence=np.full((n_annotators, n_classes), 10 * votes))
    widths = []
    for found in (summed_up(few), summed_up(many)):
        assert (found.trust_low >= 0).all()
        assert (found.trust_low <= found.trust + 1e-12).all()
        assert (found.trust <= found.trust_high + 1e-12).all()
        assert (found.trust_high <= 1).all()
        widths.append(found.trust_high - found.trust_low)
    # What the cut at 0 hides of an interval shows again where votes lift its upper end above 0: never the reverse.
    assert (widths[1] <= widths[0] + 1e-9).all()


def test_trust_by_hand_is_kept_without_an_interval() -> None:
    """Set by hand, trust and both bounds are what was set; the other annotator's are learned."""
    found = summed_up(confusion_from([CERTAIN, CERTAIN]), [0.25, np.nan])
    assert [column[0] for column in (found.trust, found.trust_low, found.trust_high)] == [0.25] * 3
    assert found.trust[1] == 1
    assert found.trust_low[1] < 1


def test_weight_is_trust_by_the_average_votes() -> None:
    """Trust 0.5 with 30 votes and 1 with 10 are 0.625 for the average vote: weights 0.8 and 1.6."""
    confusion = confusion_from([CERTAIN, CERTAIN], evidence=[[15, 15], [5, 5]])
    np.testing.assert_allclose(summed_up(confusion, [0.5, 1.0]).weight, [0.8, 1.6])


def test_weight_without_any_trust_is_none() -> None:
    """Where nobody is trusted no vote weighs anything, and nothing is divided by zero."""
    assert summed_up(confusion_from([GUESS, GUESS])).weight.tolist() == [0, 0]


def test_weight_before_any_evidence_is_alike() -> None:
    """Newcomers of one trust weigh 1 each; without annotators there is nothing to weigh."""
    assert summed_up(confusion_from([CERTAIN, CERTAIN])).weight.tolist() == [1, 1]
    assert summed_up(confusion_from(np.zeros((0, 2, 2)))).weight.tolist() == []


def test_doubt_falls_with_votes() -> None:
    """Accuracy 3/4 from 4 votes of the population and 12 of one's own: 1 / (16 * 3/16) = 1/3; newcomers: 1."""
    rows = [[3 / 4, 1 / 4], [1 / 4, 3 / 4]]
    confusion = confusion_from([rows, rows], evidence=[[6, 6], [0, 0]])
    np.testing.assert_allclose(summed_up(confusion).accuracy_variance, [1 / 3, 1])


def test_doubt_of_somebody_always_right_is_finite() -> None:
    """Accuracies of 0 and 1 do not divide by zero, and doubt is at most 1."""
    confusion = confusion_from([CERTAIN, [[0.0, 1.0], [1.0, 0.0]]], evidence=[[1e7, 1e7], [1, 1]])
    doubt = summed_up(confusion).accuracy_variance
    assert 0 < doubt[0] < 1e-3
    assert doubt[1] == 1

from dataclasses import replace

import numpy as np
import pytest
from made_label_matrices import confusion_from, matrix_from
from made_votes import gold_of, listed_of, names, scored, simulated_choices, to_learn

from consensus.core.model import model_average
from consensus.core.model.fit import fit
from consensus.core.model.latent_classes import CORRELATIONS, classes_of
from consensus.core.model.model_average import FEWEST_VOTES, HOPELESS, USUAL, held_out, weights_of
from consensus.core.model.trust import FittedModel
from consensus.core.votes.classifications import classify
from consensus.core.votes.label_matrix import LabelMatrix, joined, label_matrix_of
from consensus.core.votes.votes import Votes


def matrix_of(votes: Votes) -> LabelMatrix:
    """The label matrix of votes of which nothing is known."""
    return label_matrix_of(votes, classify(votes, listed_of()), gold_of())[0]


def fitted_in(votes: Votes, n_parts: int) -> FittedModel:
    """Fit to a label matrix in parts."""
    whole = matrix_of(votes)
    blocks = list(whole.split(n_parts)) if n_parts > 1 else [whole]
    return fit(
        "default", lambda function: [function(block) for block in blocks], whole.size, to_learn(votes), 12, None
    )


@pytest.fixture
def _any_model_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """However badly it predicts."""
    monkeypatch.setattr(model_average, "ADVANTAGE", -1.0)
    monkeypatch.setattr(model_average, "HOPELESS", -10.0)


def test_independent_annotators_need_no_other_model() -> None:
    """With a confusion matrix each, which is how these votes were made, no other model counts."""
    votes, _ = simulated_choices(np.linspace(0.5, 0.9, 12), 400, 3, per_task=6, seed=2)
    assert fitted_in(votes, 1).others == ()


def test_few_votes_choose_no_model() -> None:
    """Below a thousand votes on items with several, all is as one confusion matrix each has it."""
    votes, _ = simulated_choices(np.linspace(0.5, 0.9, 12), FEWEST_VOTES // 6, 3, per_task=6, seed=2)
    assert fitted_in(votes, 1).others == ()


@pytest.mark.usefixtures("_any_model_counts")
def test_models_of_a_matrix_in_parts_are_those_of_the_whole() -> None:
    """The parts are put together before the rows are cut in two."""
    votes, _ = simulated_choices(np.linspace(0.5, 0.9, 12), 400, 3, per_task=6, seed=2)
    whole, cut = fitted_in(votes, 1).others, fitted_in(votes, 3).others
    assert len(whole) > 0
    for each, other in zip(whole, cut, strict=True):
        assert each.weight == pytest.approx(other.weight, abs=1e-6)
        np.testing.assert_allclose(each.latent_classes.rates, other.latent_classes.rates, atol=1e-6)


@pytest.mark.usefixtures("_any_model_counts")
def test_rows_without_votes_change_nothing() -> None:
    """Listed classifications that nobody voted on take no part."""
    votes, _ = simulated_choices(np.linspace(0.5, 0.9, 12), 250, 3, per_task=6, seed=4)
    more = replace(votes, task_names=names("t", 400))
    few, many = fitted_in(votes, 1).others, fitted_in(more, 1).others
    assert [each.weight for each in few] == pytest.approx([each.weight for each in many], abs=1e-9)


@pytest.mark.usefixtures("_any_model_counts")
def test_a_run_without_news_weighs_models_as_before() -> None:
    """From the state of the last run come the same posteriors to the last digit, other models and all."""
    votes, _ = simulated_choices(np.linspace(0.5, 0.9, 12), 250, 3, per_task=6, seed=4)
    first = scored(votes)
    assert scored(votes, start=first.start).posterior.tolist() == first.posterior.tolist()


def test_the_better_prediction_weighs_more_and_counts_for_no_more_than_so_many_votes() -> None:
    """Ten times the votes, each predicted as well, do not give ten times the evidence."""
    log_odds = []
    for votes in (2e3, 2e4, 2e5):
        weights = weights_of({USUAL: np.array([-votes]), "other": np.array([-0.98 * votes])}, votes)
        log_odds.append(np.log(weights["other"] / weights[USUAL]))
    assert log_odds == sorted(log_odds)
    assert log_odds[2] < 0.02 * 2000


def test_a_hopeless_model_is_tried_once() -> None:
    """What is far behind on the first rows that were held out is fitted no more."""
    votes, _ = simulated_choices(np.linspace(0.7, 0.9, 12), 100, 2, per_task=6, seed=2)
    good, bad = confusion_from([[[0.8, 0.2], [0.2, 0.8]]] * 12), confusion_from([[[0.1, 0.9], [0.1, 0.9]]] * 12)
    tried = []
    likelihoods = held_out(matrix_of(votes), {USUAL: lambda *_: good, "bad": lambda *_: tried.append(1) or bad})
    assert HOPELESS < 0
    assert list(likelihoods) == [USUAL]
    assert len(tried) == 1


def test_a_vote_is_predicted_from_the_others_on_its_row() -> None:
    """Of two who are right in 3 of 4, each predicts the other with 5/8, and one alone predicts nobody."""
    confusion = confusion_from([[[3 / 4, 1 / 4], [1 / 4, 3 / 4]]] * 2)
    likelihood = classes_of(confusion).prediction_likelihood(matrix_from([{0: 0, 1: 0}, {0: 1}], 2, 2))
    assert likelihood.tolist() == pytest.approx([2 * np.log(5 / 8)] * len(CORRELATIONS))


def test_rows_are_taken_and_put_together_with_their_gold() -> None:
    """Gold stays with its row, wherever that is."""
    label_matrix = matrix_from([{0: 0}, {0: 1, 1: 1}, {1: 0}, {0: 1}], 2, 2, {1: [0], 3: [1]})
    rows = np.array([0]), np.array([1, 2]), np.array([3])
    whole = joined([label_matrix.rows(each) for each in rows])
    assert (whole.one_hot != label_matrix.one_hot).nnz == 0
    assert whole.gold.tolist() == [1, 3]
    assert whole.possible.tolist() == [[1, 0], [0, 1]]
    assert label_matrix.rows(np.array([2, 3])).gold.tolist() == [1]

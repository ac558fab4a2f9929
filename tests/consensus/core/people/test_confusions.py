"""Confusions and agreement with the consensus, counted by hand."""

import numpy as np
import pytest
from made_votes import chosen, posterior_of, scored, simulated_choices, votes_of

from consensus.core.people.answers import answers_of
from consensus.core.people.confusions import agreement_with_consensus, believed, confusion_matrix, confusions


def test_confusions_of_a_single_choice() -> None:
    """Two tasks are label 1 with 0.9 and 0.6; who said 0 and 2 has 0.9 of one confusion and 0.6 of another."""
    votes = chosen({(0, 0): 0, (1, 0): 2, (0, 1): 1}, 3)
    answers = answers_of(votes)
    task, label = np.repeat([0, 1], 3).astype(np.int32), np.tile(np.arange(3), 2).astype(np.int32)
    posterior = np.array([0.1, 0.9, 0, 0.2, 0.6, 0.2])
    belief = believed(answers, "single", task, label, posterior, 3)
    found = confusions(answers, belief)
    rows = list(zip(found.annotator, found.answer, found.truth, found.times.round(6), strict=True))
    assert rows == [(0, 0, 1, 0.9), (0, 2, 1, 0.6)]
    assert agreement_with_consensus(answers, belief).tolist() == [0, 1]
    matrices = confusion_matrix(answers, belief)
    assert matrices[0].round(6).tolist() == [[0.1, 0.9, 0], [0, 0, 0], [0.2, 0.6, 0.2]]
    assert matrices[1].sum() == pytest.approx(1)


def test_ties_of_the_consensus_count_in_parts() -> None:
    """Where two labels are equally likely, either is half in agreement."""
    answers = answers_of(chosen({(0, 0): 0, (0, 1): 1}, 2))
    codes = np.arange(2, dtype=np.int32)
    belief = believed(answers, "single", codes * 0, codes, np.array([0.5, 0.5]), 2)
    assert agreement_with_consensus(answers, belief).tolist() == [0.5, 0.5]


def test_confusions_of_yes_and_no_name_the_label() -> None:
    """Yes to label 1 where no is believed with 0.75; no to label 0 where yes is believed with 0.9."""
    votes = votes_of("each", [(0, 0, 0, -1), (0, 0, 1, 1), (0, 1, 0, 1)], 1, 2, 2)
    codes = np.arange(2, dtype=np.int32)
    answers = answers_of(votes)
    belief = believed(answers, "each", codes * 0, codes, np.array([0.9, 0.25]), 2)
    found = confusions(answers, belief, most=5)
    rows = list(zip(found.annotator, found.topic, found.answer, found.truth, found.times, strict=True))
    assert rows == [(0, 0, 1, 0, 0.9), (0, 1, 0, 1, 0.75)]
    assert agreement_with_consensus(answers, belief).tolist() == [0, 1]


def test_the_most_frequent_confusions_come_first_and_no_more_than_wanted() -> None:
    """Simulated choices: at most two of each, in descending order, and all of them add up to the mistakes."""
    votes, _ = simulated_choices(np.array([0.6, 0.9, 0.9, 0.9]), 100, 4, 4, seed=8)
    result = scored(votes)
    answers, rows = answers_of(votes), result.classifications
    belief = believed(answers, "single", rows.task, rows.label, result.posterior, 4)
    two = confusions(answers, belief, most=2)
    assert np.bincount(two.annotator).max() == 2
    assert two.times[0] >= two.times[1]
    everything = confusions(answers, belief, most=12)
    posterior = posterior_of(result, 100, 4)
    mine = answers.annotator == 0
    mistakes = (1 - posterior[answers.question[mine], answers.answer[mine]]).sum()
    assert everything.times[everything.annotator == 0].sum() == pytest.approx(mistakes, abs=3)

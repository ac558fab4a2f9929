"""A model's suggestions as one more voter."""

import numpy as np
import pytest
from made_votes import chosen, gold_of, listed_of, scored, simulated_choices, votes_of

from consensus.core.decide.scoring import score
from consensus.core.model.model_voter import GROUP, with_model_voter
from consensus.core.votes.classifications import Suggestions, classify
from consensus.core.votes.votes import YES, Votes

NOBODY = listed_of()


def suggestions(rows: list[tuple[int, int, float]]) -> Suggestions:
    """Suggestions from rows of (task, label, score)."""
    task, label, probability = zip(*rows, strict=True)
    return Suggestions(np.array(task, np.int32), np.array(label, np.int32), np.array(probability))


def added(votes: Votes, suggested: Suggestions) -> list[tuple[int, int, int, int]]:
    """Rows (task, group, label, vote) that a model adds."""
    heard = with_model_voter(votes, classify(votes, NOBODY), suggested)
    row = slice(len(votes), None)
    columns = heard.task[row], heard.annotator[row] - votes.n_annotators, heard.label[row], heard.vote[row]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def agreed(n_tasks: int, n_labels: int = 3) -> Votes:
    """Two annotators who choose label 0 for every task."""
    return chosen({(task, by): 0 for task in range(n_tasks) for by in range(2)}, n_labels)


def test_the_label_with_the_highest_score_votes() -> None:
    """Of several suggestions for a task of a single choice one is a vote."""
    rows = [(task, label, probability) for task in range(GROUP) for label, probability in ((1, 0.3), (2, 0.6))]
    assert added(agreed(GROUP), suggestions(rows)) == [(task, 0, 2, int(YES)) for task in range(GROUP)]


def test_of_a_multiple_choice_every_suggested_label_votes() -> None:
    """Two labels that are suggested for a task are both chosen."""
    rows = [(task, by, 0, 1) for task in range(GROUP) for by in range(2)]
    votes = votes_of("multiple", rows, GROUP, 2, 3)
    found = added(votes, suggestions([(task, label, 0.5) for task in range(GROUP) for label in (0, 2)]))
    assert found == [(task, 0, label, 1) for task in range(GROUP) for label in (0, 2)]


def test_a_question_is_answered_with_yes_or_no() -> None:
    """A label that people were asked about is confirmed if it is suggested for its task, else contradicted."""
    rows = [(task, by, label, 1) for task in range(GROUP) for by in range(2) for label in (0, 1)]
    votes = votes_of("each", rows, GROUP, 2, 3)
    found = added(votes, suggestions([(task, 1, 0.5) for task in range(GROUP)]))
    assert found == [(task, 0, label, 1 if label == 1 else -1) for task in range(GROUP) for label in (0, 1)]


def test_scores_are_cut_into_groups_of_about_the_same_size() -> None:
    """Three times as many tasks as a group needs make three groups, by score."""
    n_tasks = 3 * GROUP
    found = added(agreed(n_tasks), suggestions([(task, 0, task / n_tasks) for task in range(n_tasks)]))
    assert [group for _, group, _, _ in found] == [task // GROUP for task in range(n_tasks)]


def test_a_model_that_nobody_can_judge_is_not_heard() -> None:
    """Where fewer tasks than a group have two annotators, the model has no vote at all."""
    votes = agreed(GROUP - 1)
    some = suggestions([(task, 0, 0.9) for task in range(GROUP - 1)])
    assert with_model_voter(votes, classify(votes, NOBODY), some) is votes


@pytest.fixture(scope="module")
def crowd() -> tuple[Votes, np.ndarray]:
    """Simulated votes of annotators who are right in 70 of 100, three a task."""
    return simulated_choices(np.full(12, 0.7), 400, 4, per_task=3, seed=5)


def with_model(crowd: tuple[Votes, np.ndarray], accuracy: float) -> tuple[float, float, np.ndarray]:
    """Accuracy without and with a simulated model, and the model's share in each classification."""
    votes, truth = crowd
    drawn = np.random.default_rng(1)
    label = np.where(drawn.random(400) < accuracy, truth, (truth + drawn.integers(1, 4, 400)) % 4)
    model = Suggestions(np.arange(400, dtype=np.int32), label.astype(np.int32), np.full(400, 0.8))
    without = scored(votes).posterior.reshape(400, 4).argmax(axis=1)
    result = score(votes, NOBODY, gold_of(), np.full(votes.n_annotators, np.nan), suggestions=model)
    together = result.posterior.reshape(400, 4).argmax(axis=1)
    assert result.trust.shape == (12,)
    assert result.counts.yes.sum() == len(votes)
    return float((without == truth).mean()), float((together == truth).mean()), result.model_share


def test_a_good_model_adds(crowd: tuple[Votes, np.ndarray]) -> None:
    """A model as good as an annotator makes the answer right more often; it is no vote in the counts."""
    without, together, share = with_model(crowd, 0.75)
    assert together > without + 0.02
    assert 0.1 < share.mean() < 0.4


def test_a_model_that_guesses_does_no_harm(crowd: tuple[Votes, np.ndarray]) -> None:
    """A model that guesses is found out: it has next to no share in any decision, whatever score it claims."""
    without, together, share = with_model(crowd, 0.25)
    assert together > without - 0.01
    assert share.max() < 0.15


def test_a_perfect_model_is_no_louder_than_the_average_annotator(crowd: tuple[Votes, np.ndarray]) -> None:
    """Against three annotators a model that is always right has a quarter of the weight and no more."""
    _, _, share = with_model(crowd, 1.0)
    # Weights differ from annotator to annotator, so the share is a quarter on the mean only.
    assert share[share > 0].mean() == pytest.approx(0.25, abs=0.01)


def test_without_people_nothing_is_decided() -> None:
    """A task that only the model speaks of is in no report but NoVotes."""
    votes = chosen({(task, by): 0 for task in range(GROUP) for by in range(2)}, 3, n_tasks=GROUP + 1)
    model = suggestions([(task, 0, 0.99) for task in range(GROUP + 1)])
    given = listed_of([(GROUP, 0, True)])
    result = score(votes, given, gold_of(), np.full(2, np.nan), suggestions=model)
    last = result.classifications.task == GROUP
    assert result.report[last].tolist() == ["NoVotes"]
    assert result.model_share[last].min() > 0


def test_a_policy_that_counts_has_no_share_for_a_model(crowd: tuple[Votes, np.ndarray]) -> None:
    """Where the majority decides, a model's share in the decision is none."""
    votes, truth = crowd
    model = Suggestions(np.arange(400, dtype=np.int32), truth.astype(np.int32), np.full(400, 0.8))
    result = score(votes, NOBODY, gold_of(), np.full(12, np.nan), "majority", suggestions=model)
    assert result.model_share.tolist() == [0.0] * len(result.classifications)

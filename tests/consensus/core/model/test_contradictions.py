"""What is believed where the crowd contradicts a given label, on simulated crowds and on LabelMe."""

import csv
from pathlib import Path

import numpy as np
import pytest
from made_votes import chosen, gold_of, listed_of, scored, simulated_choices

from consensus.core.arrays import Codes
from consensus.core.decide.scoring import Scored
from consensus.core.votes.classifications import Suggestions
from consensus.core.votes.votes import Votes

LABELS, ANNOTATORS, TASKS = 4, 20, 800
MISTAKES = np.array([0.0, 0.6, 0.3, 0.1])
"""What a class is mistaken for: mostly for the next one."""
LABELME = next(
    (folder for parent in Path(__file__).parents if (folder := parent / "shared/data/labelme").is_dir()), None
)


def mistaken(generator: np.random.Generator, truth: Codes) -> Codes:
    """A wrong label for each task, as the crowd mistakes them."""
    return np.asarray((truth + generator.choice(LABELS, len(truth), p=MISTAKES)) % LABELS, dtype=np.int32)


def crowd(generator: np.random.Generator, truth: Codes, per_task: int) -> Votes:
    """Votes of annotators who are right in .55 to .9."""
    accuracy = np.linspace(0.55, 0.9, ANNOTATORS)
    answers = {}
    for _ in range(per_task):
        who, wrong = generator.integers(ANNOTATORS, size=len(truth)), mistaken(generator, truth)
        said = np.where(generator.random(len(truth)) < accuracy[who], truth, wrong)
        answers |= {(task, int(who[task])): int(said[task]) for task in range(len(truth))}
    return chosen(answers, LABELS, n_tasks=len(truth), n_annotators=ANNOTATORS)


def given_labels(generator: np.random.Generator, truth: Codes, kind: str) -> Codes:
    """Given labels that err in 15 of 100 at random, or as the crowd does, or for a whole class."""
    wrong = generator.random(len(truth)) < (0.04 if kind == "for a whole class" else 0.15)
    elsewhere = mistaken(generator, truth) if kind == "like the crowd" else (truth + 2) % LABELS
    if kind == "independently":
        elsewhere = (truth + generator.integers(1, LABELS, len(truth))) % LABELS
    given = np.where(wrong, elsewhere, truth)
    return np.where(truth == 1, 2, given) if kind == "for a whole class" else given


def of_given(
    result: Scored, votes: Votes, given: Codes, truth: Codes
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each task's given label: its posterior, whether it is right, and whether another has more votes."""
    votes_for = np.zeros((votes.n_tasks, votes.n_labels))
    np.add.at(votes_for, (votes.task, votes.label), 1)
    row = result.classifications.rows_of(np.arange(votes.n_tasks, dtype=np.int32), given.astype(np.int32))
    contradicted = votes_for[np.arange(votes.n_tasks), given] < votes_for.max(axis=1)
    return result.posterior[row], given == truth, contradicted


@pytest.mark.parametrize("per_task", [3, 5])
@pytest.mark.parametrize("kind", ["independently", "like the crowd", "for a whole class"])
def test_where_the_crowd_contradicts_a_given_label_the_posterior_is_what_it_claims(
    kind: str, per_task: int
) -> None:
    """However given labels err, they are right there as often as is believed, and so they are elsewhere."""
    claimed, right, contradicted = [], [], []
    for seed in range(4):
        generator = np.random.default_rng(seed)
        truth = generator.integers(LABELS, size=TASKS).astype(np.int32)
        votes, given = crowd(generator, truth, per_task), given_labels(generator, truth, kind)
        result = scored(votes, listed=listed_of((task, label, True) for task, label in enumerate(given.tolist())))
        for column, values in zip(
            (claimed, right, contradicted), of_given(result, votes, given, truth), strict=True
        ):
            column.append(values)
    posterior, is_right, is_contradicted = (np.concatenate(column) for column in (claimed, right, contradicted))
    for chosen_rows in (is_contradicted, ~is_contradicted, posterior <= 0.2):
        assert chosen_rows.sum() > 100
        assert posterior[chosen_rows].mean() == pytest.approx(is_right[chosen_rows].mean(), abs=0.05)


@pytest.mark.skipif(LABELME is None, reason="there is no folder shared/data/labelme beside the repository")
def test_the_posterior_is_what_it_claims_on_labelme() -> None:
    """The crowd contradicts 272 of 1,000 given labels, of which 54 in 100 are right; the strongest come first."""
    assert LABELME is not None
    votes, given, truth = (
        [tuple(row.values()) for row in csv.DictReader((LABELME / f"{name}.csv").read_text().splitlines())]
        for name in ("votes", "given", "truth")
    )
    tasks, who, labels = (sorted({row[column] for row in votes}) for column in range(3))
    answers = {(tasks.index(task), who.index(by)): labels.index(label) for task, by, label in votes}
    made = chosen(answers, len(labels), n_tasks=len(tasks), n_annotators=len(who))
    right, came_with = (
        np.array([labels.index(dict(rows)[task]) for task in tasks], dtype=np.int32) for rows in (truth, given)
    )
    listed = listed_of((task, label, True) for task, label in enumerate(came_with.tolist()))
    result = scored(made, listed=listed)
    posterior, is_right, contradicted = of_given(result, made, came_with, right)
    assert (contradicted.sum(), is_right[contradicted].mean().round(2)) == (272, 0.54)
    assert posterior[contradicted].mean() == pytest.approx(is_right[contradicted].mean(), abs=0.05)
    strongest = np.argsort(posterior, kind="stable")
    wrong = [int((~is_right[strongest[:shown]]).sum()) for shown in (50, 100, 200, 350)]
    assert all(number >= least for number, least in zip(wrong, (38, 65, 110, 134), strict=True))

    generator = np.random.default_rng(0)
    wrong_label = (right + generator.integers(1, len(labels), len(tasks))) % len(labels)
    suggested = np.where(generator.random(len(tasks)) < 0.87, right, wrong_label).astype(np.int32)
    seen = generator.permutation(len(tasks))[:700].astype(np.int32)  # a model suggests something for these
    suggestions = Suggestions(seen, suggested[seen], np.full(len(seen), 0.9))
    helped = scored(made, listed=listed, suggestions=suggestions)
    assert accuracy(helped, right) >= accuracy(result, right) + 0.02


def accuracy(result: Scored, truth: Codes) -> float:
    """Share of the tasks whose most probable label is the true one."""
    best = np.full(len(truth), -1)
    order = np.argsort(result.posterior, kind="stable")
    best[result.classifications.task[order]] = result.classifications.label[order]
    return float((best == truth).mean())


def test_what_a_crowd_has_in_common_makes_given_labels_no_better_than_annotators() -> None:
    """On a fifth of the tasks 6 in 10 choose the same wrong label; that excuses no given label that errs alone."""
    generator = np.random.default_rng(0)
    tasks = 1000
    truth = generator.integers(LABELS, size=tasks).astype(np.int32)
    trap, is_trap = (truth + generator.integers(1, LABELS, tasks)) % LABELS, generator.random(tasks) < 0.2
    right_in, answers = np.linspace(0.7, 0.95, ANNOTATORS), {}
    for _ in range(3):
        who = generator.integers(ANNOTATORS, size=tasks)
        wrong = (truth + generator.integers(1, LABELS, tasks)) % LABELS
        chosen_label = np.where(generator.random(tasks) < right_in[who], truth, wrong)
        chosen_label = np.where(is_trap & (generator.random(tasks) < 0.6), trap, chosen_label)
        answers |= {(task, int(who[task])): int(chosen_label[task]) for task in range(tasks)}
    votes = chosen(answers, LABELS, n_tasks=tasks, n_annotators=ANNOTATORS)
    given = given_labels(generator, truth, "independently")
    result = scored(votes, listed=listed_of((task, label, True) for task, label in enumerate(given.tolist())))
    assert (given == truth).mean() == pytest.approx(0.85, abs=0.01)
    assert result.start.confusion.accuracy[-1] < 0.9


def test_tasks_without_a_given_label_are_scored_as_without_any() -> None:
    """Given labels of other tasks let annotators be known better; they say nothing of a task that has none."""
    generator = np.random.default_rng(1)
    truth = generator.integers(LABELS, size=300).astype(np.int32)
    votes = crowd(generator, truth, 3)
    half = listed_of((task, int(truth[task]), True) for task in range(150))
    with_some, with_none = scored(votes, listed=half, all_labels=True), scored(votes, all_labels=True)
    without = with_some.classifications.task >= 150
    assert np.abs(with_some.posterior - with_none.posterior)[without].mean() < 0.03
    assert with_some.posterior[with_some.classifications.given].mean() > 0.95


def test_gold_tells_what_given_labels_are_worth() -> None:
    """Where gold says that half of the given labels are wrong, the others are believed less."""
    generator = np.random.default_rng(2)
    truth = generator.integers(LABELS, size=300).astype(np.int32)
    votes = crowd(generator, truth, 3)
    given = np.where(np.arange(300) < 100, (truth + np.arange(300) % 2) % LABELS, truth)
    listed = listed_of((task, int(label), True) for task, label in enumerate(given))
    gold = gold_of((task, int(truth[task]), True) for task in range(100))
    alone, measured = scored(votes, listed=listed), scored(votes, listed=listed, gold=gold)
    rest = alone.classifications.given & (alone.classifications.task >= 100)
    assert measured.posterior[rest].mean() < alone.posterior[rest].mean()


@pytest.mark.parametrize("accuracy", [0.3, 1.0])
@pytest.mark.parametrize("n_labels", [1, 2, 5, 70])
@pytest.mark.parametrize("kind", ["right", "all the same", "all wrong"])
def test_whatever_given_labels_are_all_numbers_are_probabilities(
    kind: str, n_labels: int, accuracy: float
) -> None:
    """One label, or more than are asked as one choice; crowds that guess or never err; again without news."""
    votes, truth = simulated_choices(np.full(8, accuracy), 120, max(n_labels, 2), per_task=3, seed=5)
    if n_labels == 1:
        votes, truth = chosen({(task, by): 0 for task in range(120) for by in range(3)}, 1), np.zeros(120, int)
    given = {"right": truth, "all the same": np.zeros_like(truth), "all wrong": (truth + 1) % n_labels}[kind]
    listed = listed_of((task, int(label), True) for task, label in enumerate(given))
    first = scored(votes, listed=listed)
    for column in (first.posterior, first.confidence, first.upper, first.trust):
        assert ((column >= 0) & (column <= 1)).all()
    again = scored(votes, listed=listed, start=first.start)
    assert again.posterior.tolist() == first.posterior.tolist()

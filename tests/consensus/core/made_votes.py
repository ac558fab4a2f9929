"""Votes, lists and gold for the tests of the core: written by hand, drawn by hypothesis or simulated."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from consensus.core.arrays import Floats, Names
from consensus.core.decide.scoring import Scored, score
from consensus.core.model.confusion_matrices import ConfusionMatrices
from consensus.core.model.em import in_threads
from consensus.core.model.fit import FITS, ModelName
from consensus.core.model.posterior import posterior_of as model_posterior
from consensus.core.model.trust import FittedModel
from consensus.core.votes.classifications import Gold, Listed, classify
from consensus.core.votes.label_matrix import label_matrix_of
from consensus.core.votes.votes import NO, NO_LABEL, UNSURE, YES, Choice, Votes

few_examples = settings(max_examples=25, deadline=None, derandomize=True)
"""For what fits a model at each example: few, the same each time, however slow the machine."""

SKIP, NOTHING = "skip", "nothing"
Row = tuple[int, int, int, int]


def names(prefix: str, size: int) -> Names:
    """Names such as t0, t1."""
    made: Names = np.array([f"{prefix}{number}" for number in range(size)], dtype=object)
    return made


def votes_of(choice: Choice, rows: Iterable[Row], n_tasks: int, n_annotators: int, n_labels: int) -> Votes:
    """Votes from rows of (task, annotator, label, vote)."""
    table = np.array(list(rows), dtype=np.int64).reshape(-1, 4)
    task, annotator, label = (table[:, column].astype(np.int32) for column in range(3))
    return Votes(
        choice,
        task,
        annotator,
        label,
        table[:, 3].astype(np.int8),
        names("t", n_tasks),
        names("a", n_annotators),
        names("l", n_labels),
    )


def chosen(
    answers: Mapping[tuple[int, int], int | str], n_labels: int, choice: Choice = "single", **sizes: int
) -> Votes:
    """Votes of a single choice from {(task, annotator): label, SKIP or NOTHING}."""
    empty = {SKIP: int(UNSURE), NOTHING: int(NO)}
    rows = [
        (task, annotator, int(NO_LABEL), empty[answer])
        if isinstance(answer, str)
        else (task, annotator, answer, int(YES))
        for (task, annotator), answer in answers.items()
    ]
    n_tasks = sizes.get("n_tasks", 1 + max((task for task, _ in answers), default=-1))
    n_annotators = sizes.get("n_annotators", 1 + max((annotator for _, annotator in answers), default=-1))
    return votes_of(choice, rows, n_tasks, n_annotators, n_labels)


def question(yes: int, no: int = 0, unsure: int = 0) -> Votes:
    """One yes/no question that every annotator answers once."""
    stands = [1] * yes + [-1] * no + [0] * unsure
    return votes_of("each", [(0, at, 0, stand) for at, stand in enumerate(stands)], 1, max(len(stands), 1), 1)


def listed_of(rows: Iterable[tuple[int, int, bool]] = ()) -> Listed:
    """Listed classifications from rows of (task, label, given)."""
    return Listed(*_columns(rows))


def gold_of(rows: Iterable[tuple[int, int, bool]] = ()) -> Gold:
    """Gold from rows of (task, label, right)."""
    return Gold(*_columns(rows))


def _columns(rows: Iterable[tuple[int, int, bool]]) -> tuple[Any, Any, Any]:
    table = np.array([tuple(map(int, row)) for row in rows], dtype=np.int32).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2].astype(bool)


def to_learn(votes: Votes) -> Floats:
    """Trust that is all to be learned."""
    return np.full(votes.n_annotators, np.nan)


class Fitted(NamedTuple):
    """A fitted model and its posterior."""

    model: FittedModel
    posterior: Floats
    variance: Floats


def fitted(
    votes: Votes,
    model: ModelName = "default",
    *,
    listed: Listed | None = None,
    gold: Gold | None = None,
    trust: Floats | None = None,
    start: ConfusionMatrices | None = None,
) -> Fitted:
    """Fit a model to votes, and take the posterior of each classification, without a decision."""
    rows = classify(votes, listed or listed_of())
    label_matrix, questions = label_matrix_of(votes, rows, gold or gold_of())
    fixed = to_learn(votes) if trust is None else np.asarray(trust, dtype=float)
    map_matrices = in_threads(label_matrix, 2)
    learned = FITS[model](map_matrices, label_matrix.size, fixed, start)
    posterior = model_posterior(model, learned, map_matrices, votes, rows, questions)
    return Fitted(learned, posterior.probability, posterior.variance)


def scored(
    votes: Votes,
    *,
    listed: Listed | None = None,
    gold: Gold | None = None,
    trust: Floats | None = None,
    **options: Any,  # noqa: ANN401 - the options of `score`
) -> Scored:
    """Score with nothing listed, no gold and no trust set by hand unless given."""
    fixed = to_learn(votes) if trust is None else np.asarray(trust, dtype=float)
    return score(votes, listed or listed_of(), gold or gold_of(), fixed, **options)


def posterior_of(result: Scored, n_tasks: int, n_labels: int) -> Floats:
    """(n_tasks, n_labels): the posterior where every classification is in the result."""
    assert len(result.posterior) == n_tasks * n_labels
    return result.posterior.reshape(n_tasks, n_labels)


@st.composite
def any_votes(
    draw: st.DrawFn, choices: tuple[Choice, ...] = ("single", "multiple", "each"), **least: int
) -> Votes:
    """Votes of few tasks, annotators and labels, one stand per annotator and classification."""
    choice = draw(st.sampled_from(choices))
    n_tasks = draw(st.integers(1, 5))
    n_annotators = draw(st.integers(least.get("annotators", 1), 5))
    n_labels = draw(st.integers(least.get("labels", 1), 4))
    label = st.integers(0, n_labels - 1)
    spot = st.tuples(st.integers(0, n_tasks - 1), st.integers(0, n_annotators - 1))
    rows: list[Row] = []
    if choice == "each":
        questions = st.dictionaries(st.tuples(spot, label), st.integers(-1, 1), max_size=25)
        rows = [(*where, which, stand) for (where, which), stand in draw(questions).items()]
    elif choice == "single":
        answers = draw(st.dictionaries(spot, label | st.sampled_from([SKIP, NOTHING]), max_size=25))
        return chosen(answers, n_labels, n_tasks=n_tasks, n_annotators=n_annotators)
    else:
        submissions = draw(st.dictionaries(spot, st.sets(label) | st.just(SKIP), max_size=25))
        for where, labels in submissions.items():
            if labels == SKIP or not labels:
                rows.append((*where, int(NO_LABEL), int(UNSURE if labels == SKIP else NO)))
            rows += [(*where, which, int(YES)) for which in labels if labels != SKIP]
    return votes_of(choice, rows, n_tasks, n_annotators, n_labels)


def simulated_choices(
    accuracy: Floats, n_tasks: int, n_labels: int, per_task: int, seed: int
) -> tuple[Votes, np.ndarray]:
    """A single choice by annotators who are right with their accuracy and wrong evenly; and the truth."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(n_labels, size=n_tasks)
    answers = {}
    for task in range(n_tasks):
        for annotator in generator.choice(len(accuracy), size=per_task, replace=False):
            wrong = (truth[task] + generator.integers(1, n_labels)) % n_labels
            right = generator.random() < accuracy[annotator]
            answers[task, int(annotator)] = int(truth[task] if right else wrong)
    return chosen(answers, n_labels, n_tasks=n_tasks, n_annotators=len(accuracy)), truth


def simulated_answers(
    sensitivity: Floats, false_positives: Floats, n_tasks: int, per_task: int, seed: int, prevalence: float = 0.5
) -> tuple[Votes, np.ndarray]:
    """Yes and no by annotators with two rates, on one question a task; and the truth."""
    generator = np.random.default_rng(seed)
    truth = generator.random(n_tasks) < prevalence
    rows = []
    for task in range(n_tasks):
        for annotator in generator.choice(len(sensitivity), size=per_task, replace=False):
            rate = (sensitivity if truth[task] else false_positives)[annotator]
            rows.append((task, int(annotator), 0, 1 if generator.random() < rate else -1))
    return votes_of("each", rows, n_tasks, len(sensitivity), 1), truth

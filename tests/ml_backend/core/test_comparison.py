import json
from dataclasses import replace

import numpy as np

from ml_backend.core.cluster_evidence import ClusterEvidence
from ml_backend.core.clusters import Clusters
from ml_backend.core.comparison import compare
from ml_backend.core.controls import Control
from ml_backend.core.held_out import OutOfFold
from ml_backend.core.linear import Components
from ml_backend.core.model import Evidence, ProjectModel
from ml_backend.core.scores import ControlScores, Pool

KIND = Control("kind", "image", ("a", "b"), multiple=False, image_key="image")
OTHER = replace(KIND, name="other")
N = 40
IDS = np.arange(N) + 100
ALL_A = np.tile(np.array([1, 0], dtype=np.float32), (N, 1))
IMAGES = np.zeros((N, 1), dtype=np.float32)


def model(
    right: float | np.ndarray,
    control: Control = KIND,
    tasks: np.ndarray = IDS,
    unjudged: tuple[int, ...] = (),
    new_images: float = 0.5,
) -> ProjectModel:
    """A model that gave label a the probability ``right`` on held-out tasks, and gives it ``new_images`` else."""
    chances = np.broadcast_to(np.asarray(right, dtype=np.float32), (len(tasks),))
    evidence = np.array([[[100 * new_images, 100 * (1 - new_images)]]], dtype=np.float32)
    scores = ControlScores(
        control,
        ClusterEvidence(evidence, np.array([[100]], dtype=np.float32), np.array([0.5, 0.5], dtype=np.float32)),
        1.0,
        None,
        Pool(),
        out_of_fold=OutOfFold(tasks, np.stack([chances, 1 - chances], axis=1), np.array(unjudged, dtype=np.int64)),
    )
    point = np.zeros((1, 1), dtype=np.float32)
    return ProjectModel(Clusters(point[0], point, point[None]), Components(point[0], point), (scores,))


def said(
    shares: np.ndarray = ALL_A, control: Control = KIND, weights: np.ndarray | None = None, ids: np.ndarray = IDS
) -> Evidence:
    """Targets of all tasks."""
    return Evidence(control, np.arange(len(ids)), shares[: len(ids)], weights=weights, tasks=ids)


def test_a_better_model_is_promoted() -> None:
    """Log loss falls from -ln 0.6 to -ln 0.8 on 40 tasks; the figures and the reason say so."""
    comparison = compare(model(0.6), model(0.8), [said()])
    assert comparison.promoted
    assert (comparison.tasks, comparison.controls) == (40, ("kind",))
    np.testing.assert_allclose(
        [comparison.log_loss_before, comparison.log_loss_after], -np.log([0.6, 0.8]), rtol=1e-5
    )
    assert (comparison.accuracy_before, comparison.accuracy_after) == (1, 1)
    assert "log loss 0.511 -> 0.223" in comparison.why
    assert json.loads(json.dumps(comparison.as_dict()))["controls"] == ["kind"]


def test_a_worse_log_loss_is_not_promoted() -> None:
    """All tasks are as right as before but less surely."""
    comparison = compare(model(0.8), model(0.6), [said()])
    assert not comparison.promoted
    assert "Its log loss on held-out tasks is worse" in comparison.why


def test_a_worse_accuracy_is_not_promoted() -> None:
    """A fifth of the tasks turn wrong, by so little that the log loss is nearly as before."""
    before, after = np.full(N, 0.51), np.full(N, 0.51)
    after[:8] = 0.49
    comparison = compare(model(before), model(after), [said()])
    assert (comparison.accuracy_before, comparison.accuracy_after) == (1, 0.8)
    assert not comparison.promoted
    assert "Its accuracy on held-out tasks is worse" in comparison.why


def test_what_is_lost_in_accuracy_may_be_won_in_log_loss() -> None:
    """A tenth of the tasks turn wrong by a hair, and the others are far surer: together that is no worse."""
    before, after = np.full(N, 0.51), np.full(N, 0.9)
    after[:4] = 0.49
    comparison = compare(model(before), model(after), [said()])
    assert comparison.log_loss_after < comparison.log_loss_before
    assert comparison.promoted


def test_a_difference_that_chance_would_show_is_none() -> None:
    """Up to three of 40 tasks that are worse are at most 1.8 standard errors, five are 2.4: seldom chance."""
    before, after = np.full(N, 0.8), np.full(N, 0.8)
    after[0] = 0.6
    comparison = compare(model(before), model(after), [said()])
    np.testing.assert_allclose(comparison.log_loss_error, np.log(0.8 / 0.6) / N, rtol=1e-5)
    np.testing.assert_allclose(
        comparison.log_loss_after - comparison.log_loss_before, np.log(0.8 / 0.6) / N, rtol=1e-5
    )
    promoted = []
    for worse in (1, 2, 3, 5):
        after[:worse] = 0.6
        promoted.append(compare(model(before), model(after), [said()]).promoted)
    assert promoted == [True, True, True, False]


def test_a_difference_of_no_consequence_is_none() -> None:
    """All tasks are a little less sure, by 0.006 nats: however certain, it keeps no version from answering."""
    assert compare(model(0.8), model(0.795), [said()]).promoted
    assert not compare(model(0.8), model(0.78), [said()]).promoted


def test_the_same_model_is_promoted() -> None:
    """A training without anything new is no worse."""
    assert compare(model(0.7), model(0.7), [said()]).promoted


def test_a_task_counts_by_its_weight() -> None:
    """The tasks that became worse weigh nothing."""
    after = np.where(np.arange(N) < 20, 0.9, 0.1)
    weights = (np.arange(N) < 20).astype(np.float32)
    assert not compare(model(0.7), model(after), [said()]).promoted
    comparison = compare(model(0.7), model(after), [said(weights=weights)])
    assert comparison.promoted
    assert comparison.tasks == 20


def test_targets_are_those_of_today() -> None:
    """What annotators have changed their minds about since is judged by what they say now."""
    assert not compare(model(0.9), model(0.1), [said()]).promoted
    assert compare(model(0.9), model(0.1), [said(1 - ALL_A)]).promoted


def test_a_new_task_is_scored_by_the_current_model() -> None:
    """The current model learned from 20 of 40 tasks; of the others counts what it says of their images."""
    current = model(0.6, tasks=IDS[:20], new_images=0.9)
    assert compare(current, model(0.7), [said()]).tasks == 20
    comparison = compare(current, model(0.7), [said()], IMAGES)
    assert comparison.tasks == 40
    expected = (-np.log(0.6) - np.log(90.5 / 101)) / 2
    np.testing.assert_allclose(comparison.log_loss_before, expected, rtol=1e-4)


def test_a_new_task_of_a_verification_is_scored_by_the_current_model() -> None:
    """What the image says of labels is compared there too, not what is answered without a given label."""
    verifying = replace(KIND, given_key="label", answers={"yes": "yes", "no": "no"})
    current = model(0.6, control=verifying, tasks=IDS[:0], new_images=0.9)
    comparison = compare(current, model(0.7, control=verifying), [said(control=verifying)], IMAGES)
    assert not comparison.promoted
    np.testing.assert_allclose(comparison.log_loss_before, -np.log(90.5 / 101), rtol=1e-4)


def test_what_taught_the_embeddings_does_not_judge() -> None:
    """Neither a task that the current model learned without judging nor one of the new model's is compared."""
    current = model(0.6, tasks=IDS[:20], unjudged=tuple(IDS[20:30]))
    new = model(0.7, tasks=IDS[10:], unjudged=tuple(IDS[:10]))
    assert compare(current, new, [said()], IMAGES).tasks == 20


def test_nothing_to_compare_is_promoted() -> None:
    """No current version, other labels, another kind or control, no common task, no ids, or too few tasks."""
    new = model(0.1)
    comparison = [
        compare(None, new, [said()]),
        compare(model(0.9, replace(KIND, labels=("a", "c"))), new, [said()]),
        compare(model(0.9, replace(KIND, multiple=True)), new, [said()]),
        compare(model(0.9, OTHER), new, [said()]),
        compare(model(0.9, tasks=IDS + N), new, [said()]),
        compare(model(0.9), new, [replace(said(), tasks=None)]),
        compare(model(0.9, tasks=IDS[:4]), new, [said()]),
    ]
    assert [result.promoted for result in comparison] == [True] * 7
    assert comparison[-1].why == "Only 4 tasks are held out for both versions: too few to compare."
    assert comparison[0].log_loss_before is None


def test_controls_of_a_task_are_no_separate_witnesses() -> None:
    """A task's two controls count by their mean: twice the same evidence is no surer."""
    before, after = (
        replace(made, controls=(*made.controls, replace(made.controls[0], control=OTHER)))
        for made in (model(np.linspace(0.5, 0.9, N)), model(np.linspace(0.9, 0.6, N)))
    )
    of_one, of_two = compare(before, after, [said()]), compare(before, after, [said(), said(control=OTHER)])
    assert of_two.tasks == of_one.tasks == 40
    assert of_two.controls == ("kind", "other")
    assert of_two.log_loss_error == of_one.log_loss_error
    assert of_two.log_loss_after == of_one.log_loss_after

from dataclasses import replace

import numpy as np

from ml_backend.core.controls import Control
from ml_backend.core.fit import AnnotatedImages, fit_scores
from ml_backend.core.held_out import HeldOutCheck
from ml_backend.core.scores import ControlScores

SINGLE = Control("kind", "image", ("a", "b"), multiple=False, image_key="image")


def known(
    clusters: np.ndarray, labels: np.ndarray, points: np.ndarray | None = None, n_labels: int = 2
) -> AnnotatedImages:
    """Annotated images in one clustering, each another picture; by default their points tell nothing."""
    n = len(labels)
    return AnnotatedImages(
        np.asarray(clusters, dtype=np.int64)[:, None],
        np.zeros((n, 1), dtype=np.float32) if points is None else points.astype(np.float32),
        np.eye(n_labels, dtype=np.float32)[labels],
        np.ones(n, dtype=np.float32),
        np.ones(n, dtype=np.bool_),
        np.arange(n),
    )


def clustered(n: int, wrong: float, seed: int = 0) -> AnnotatedImages:
    """``n`` images in two clusters that mean a and b, a share of them annotated wrongly."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, 2, n)
    return known(cluster, np.where(rng.random(n) < wrong, 1 - cluster, cluster))


def scored(made: ControlScores, images: AnnotatedImages) -> np.ndarray:
    """The scores of images."""
    return made.probabilities(images.assigned.T, images.points)[0]


def test_held_out_accuracy_is_that_of_the_clusters() -> None:
    """A fifth of the annotations contradicts its cluster: about 4/5 are right, and the scores say so."""
    made = fit_scores(SINGLE, clustered(400, wrong=0.2), n_clusters=2)
    assert made.check.tasks == 400
    assert abs(made.check.accuracy - 0.8) < 0.05
    assert abs(made.check.mean_score - made.check.accuracy) < 0.03
    assert made.check.calibration_error < 0.08


def test_what_clusters_mix_the_linear_classifier_tells_apart() -> None:
    """Two labels in one cluster lie on two sides of a line: all are found, with certainty."""
    labels = np.arange(100) % 2
    images = known(np.zeros(100), labels, points=(2 * labels - 1)[:, None])
    made = fit_scores(SINGLE, images, n_clusters=1)
    assert made.linear is not None
    assert made.check.accuracy == 1
    assert scored(made, images).max(axis=1).min() > 0.9


def test_either_can_be_left_out() -> None:
    """Only shares that compete are chosen, whatever the other could do."""
    images = replace(
        clustered(100, wrong=0), points=np.random.default_rng(1).normal(size=(100, 2)).astype(np.float32)
    )
    alone = [fit_scores(SINGLE, images, n_clusters=2, pools=[share]).pool.share for share in (0, 1)]
    assert alone == [0, 1]


def test_labels_by_chance_are_not_believed() -> None:
    """Where labels have nothing to do with the images, no score is far from a half, and none is claimed to be."""
    rng = np.random.default_rng(0)
    images = known(rng.integers(0, 2, 400), rng.integers(0, 2, 400), rng.normal(size=(400, 20)))
    made = fit_scores(SINGLE, images, n_clusters=2)
    assert scored(made, images).max() < 0.65
    assert made.check.mean_score < 0.55
    assert made.check.calibration_error < 0.08


def test_overconfidence_is_taken_back() -> None:
    """100 clusters of 2 images with labels by chance look pure by accident; the scores do not fall for it."""
    images = known(np.repeat(np.arange(100), 2), np.random.default_rng(0).integers(0, 2, 200))
    assert fit_scores(SINGLE, images, n_clusters=100).check.mean_score < 0.6


def test_few_annotations_never_sharpen() -> None:
    """With 10 checked tasks the scores may only be made more careful."""
    assert fit_scores(SINGLE, clustered(10, wrong=0), n_clusters=2).pool.sharpness <= 1


def test_too_few_annotations_are_not_checked() -> None:
    """Three annotated images cannot be held out in five folds: clusters alone answer, unchecked."""
    made = fit_scores(SINGLE, clustered(3, wrong=0), n_clusters=2, tasks=np.array([5, 6, 7]))
    assert made.check == HeldOutCheck()
    assert made.linear is None
    assert made.pool.sharpness < 1
    assert made.out_of_fold.tasks.tolist() == []
    assert made.out_of_fold.unjudged.tolist() == [5, 6, 7]


def test_one_label_only_is_left_to_the_clusters() -> None:
    """Where everything is a there is nothing to tell apart, and b stays possible."""
    images = known(np.zeros(20), np.zeros(20, dtype=np.int64), np.random.default_rng(0).normal(size=(20, 2)))
    made = fit_scores(SINGLE, images, n_clusters=1)
    assert made.linear is None
    assert (scored(made, images)[:, 1] > 0).all()


def test_targets_that_are_not_clean_teach_but_do_not_judge() -> None:
    """40 of 60 images taught the embeddings: they count in the clusters, and the other 20 are judged by."""
    images = clustered(60, wrong=0.1)
    made = fit_scores(SINGLE, replace(images, clean=np.arange(60) >= 40), n_clusters=2, tasks=np.arange(60) + 100)
    assert made.check.tasks == 20
    assert made.clusters.annotated.sum() == 60
    assert made.out_of_fold.tasks.tolist() == list(range(140, 160))
    assert made.out_of_fold.unjudged.tolist() == list(range(100, 140))


def test_a_copy_of_a_picture_that_taught_the_embeddings_does_not_judge() -> None:
    """A clean task whose picture is that of an unclean one is no held-out task."""
    images = clustered(40, wrong=0.1)
    pictures = np.arange(40)
    pictures[10] = 0
    made = fit_scores(SINGLE, replace(images, clean=np.arange(40) >= 10, pictures=pictures), n_clusters=2)
    assert made.check.tasks == 29


def test_copies_of_a_picture_are_held_out_together() -> None:
    """Each picture is there twice with a label by chance: knowing its copy would be right always."""
    labels = np.repeat(np.random.default_rng(0).integers(0, 2, 100), 2)
    twins = np.repeat(np.arange(100), 2)
    images = known(twins, labels)
    assert fit_scores(SINGLE, images, n_clusters=100).check.accuracy > 0.6
    together = fit_scores(SINGLE, replace(images, pictures=twins), n_clusters=100).check
    assert together.tasks == 0
    assert together.unanswered == 200


def test_weights_decide_what_is_learned() -> None:
    """Every image is called a and b, once with weight 9 and once with 1: a is nine times as likely."""
    images = known(np.zeros(200), np.arange(200) % 2)
    weights = np.where(np.arange(200) % 2, 1, 9).astype(np.float32)
    made = fit_scores(SINGLE, replace(images, weights=weights), n_clusters=1)
    assert abs(scored(made, images)[0, 0] - 0.9) < 0.02
    assert np.isclose(made.check.accuracy, 0.9)


def test_people_measure_whatever_teaches() -> None:
    """Targets that another program has made teach; the figures are of what people say, and of nothing else."""
    images, people = clustered(80, wrong=0), np.tile(np.array([1, 0], dtype=np.float32), (80, 1))
    counts = (np.arange(80) < 40).astype(np.float32)
    made = fit_scores(SINGLE, replace(images, answers=people, counts=counts), n_clusters=2)
    assert (made.check.tasks, made.check.accuracy) == (40, images.shares[:40, 0].mean())
    assert fit_scores(SINGLE, replace(images, answers=people, counts=0 * counts), n_clusters=2).check.tasks == 0


def test_a_target_of_weight_nothing_neither_teaches_nor_judges() -> None:
    """An image with weight 0 leaves everything as it is without it."""
    images = clustered(50, wrong=0.1)
    extra = replace(clustered(51, wrong=0.1), weights=np.append(np.ones(50), 0).astype(np.float32))
    without, with_it = (fit_scores(SINGLE, each, n_clusters=2) for each in (images, extra))
    assert with_it.check.tasks == without.check.tasks == 50
    assert with_it.clusters.annotated.sum() == 50


def test_the_held_out_probabilities_are_kept_by_task() -> None:
    """Tasks are kept in ascending order, each with what it was given while it was held out."""
    images = clustered(50, wrong=0)
    tasks = np.arange(50)[::-1] + 7
    by_task = fit_scores(SINGLE, images, n_clusters=2, tasks=tasks).out_of_fold
    assert by_task.tasks.tolist() == list(range(7, 57))
    right = images.shares.argmax(axis=1)[::-1]
    assert (by_task.probabilities.argmax(axis=1) == right).all()
    assert sorted(by_task.learned) == list(range(7, 57))


def test_a_multiple_choice_learns_each_label() -> None:
    """One label follows the points, the other is on all images."""
    control = replace(SINGLE, multiple=True)
    side = np.arange(80) % 2
    images = known(np.zeros(80), side, points=(2 * side - 1)[:, None])
    shares = np.stack([side, np.ones(80)], axis=1).astype(np.float32)
    made = fit_scores(control, replace(images, shares=shares), n_clusters=1)
    probabilities = scored(made, images)
    assert ((probabilities[:, 0] > 0.5) == (side == 1)).all()
    assert (probabilities[:, 1] > 0.8).all()
    assert made.check.accuracy == 1

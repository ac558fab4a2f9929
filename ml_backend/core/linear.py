"""A regularised linear classifier on embeddings, learned from shares of votes.

Multinomial logistic regression for a single choice, one logistic regression a label for a multiple one (Hastie,
Tibshirani and Friedman, The Elements of Statistical Learning, 2009, section 4.4). scikit-learn's takes whole
labels only, hence the loss here; scipy minimises it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float32]

_MANY = 128  # components
_LEAST = 1e-4  # of the first component's variance; below it there is only noise
_MAX_FITTED = 20_000  # images that the components are found on
_STEPS = 60
_CURVATURE = 0.25
_TOLERANCE = 1e-5  # of the loss, relative: further steps change no suggestion


@dataclass(frozen=True)
class Components:
    """The principal components of a project's embeddings.

    Parameters
    ----------
    mean : (n_dimensions,) float32
        Subtracted from an embedding.
    projection : (n_dimensions, n_components) float32
        Not whitened: directions in which images differ little count little. Scaled so that the mean squared length
        of a projected embedding is 1, whatever the backbone.
    """

    mean: Floats
    projection: Floats

    def project(self, embeddings: Floats) -> Floats:
        """Return the (n_images, n_components) float32 coordinates of (n_images, n_dimensions) embeddings."""
        return np.asarray((embeddings - self.mean) @ self.projection, dtype=np.float32)


@dataclass(frozen=True)
class LinearClassifier:
    """Coefficients by component and label.

    Parameters
    ----------
    coefficients : (n_components, n_labels) float32
    intercepts : (n_labels,) float32
    """

    coefficients: Floats
    intercepts: Floats

    def probabilities(self, points: Floats, *, multiple: bool) -> Floats:
        """Score each label for each image.

        Parameters
        ----------
        points : (n_images, n_components) float32
            From ``Components.project``.
        multiple : bool
            As for ``normalised``.

        Returns
        -------
        (n_images, n_labels) float32

        Examples
        --------
        >>> model = LinearClassifier(np.array([[1, 0]], dtype=np.float32), np.zeros(2, dtype=np.float32))
        >>> model.probabilities(np.array([[0]], dtype=np.float32), multiple=False).tolist()
        [[0.5, 0.5]]
        """
        scores = points @ self.coefficients + self.intercepts
        return normalised(scores, multiple=multiple)


def normalised(logits: NDArray[np.floating[Any]], *, multiple: bool) -> Floats:
    """Return probabilities: of a single choice, rows that sum to 1; of a multiple one, each label's own."""
    from scipy.special import expit, logsumexp  # noqa: PLC0415 - a fifth of a second, while other work can be done

    chances = expit(logits) if multiple else np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    return np.asarray(chances, dtype=np.float32)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep linear algebra on one thread: of many small products, several spend their time waiting for one another.

    It leaves the other processors to those who wait for a suggestion, too.
    """
    import scipy.optimize  # noqa: F401, PLC0415 - brings linear algebra of its own, which has to be there to be told

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def fit_components(embeddings: Floats, seed: int = 0) -> Components:
    """Find the principal components of all images, annotated or not.

    Parameters
    ----------
    embeddings : (n_images, n_dimensions) float32
        At least one row.
    seed : int
        Of the sample of a large project's images.
    """
    from sklearn.decomposition import PCA  # noqa: PLC0415 - takes seconds, and suggesting needs none of it

    fitted = embeddings
    if len(embeddings) > _MAX_FITTED:
        chosen = np.random.default_rng(seed).choice(len(embeddings), _MAX_FITTED, replace=False)
        fitted = embeddings[np.sort(chosen)]
    if np.ptp(fitted, axis=0).max() == 0:  # one image, or all the same
        return Components(fitted[0], np.zeros((fitted.shape[1], 1), dtype=np.float32))
    pca = PCA(min(_MANY, *fitted.shape), random_state=seed).fit(fitted)
    used = pca.explained_variance_ > _LEAST * pca.explained_variance_[0]
    scaled = pca.components_[used] / np.sqrt(pca.explained_variance_[used].sum())
    return Components(pca.mean_.astype(np.float32), scaled.T.astype(np.float32))


def fit_linear(
    points: Floats, shares: Floats, weights: Floats, strengths: Iterable[float], *, multiple: bool
) -> Iterator[LinearClassifier]:
    """Learn a classifier for each strength of the regularisation, each starting from the one before.

    One imagined annotation a label (a yes and a no for each of a multiple choice) of the mean image keeps labels
    possible that nobody has chosen yet.

    Parameters
    ----------
    points : (n_images, n_components) float32
        From ``Components.project``.
    shares : (n_images, n_labels) float32
        Targets; rows sum to 1 for a single choice.
    weights : (n_images,) float32
        How much each target counts, at least 0.
    strengths : iterable of float
        Above 0: half of it times the sum of the squared coefficients is added to the sum of the log losses, in
        scikit-learn's terms it is 1 / C. The strongest first takes the fewest steps.
    """
    from scipy.optimize import minimize  # noqa: PLC0415 - as above

    n_labels = shares.shape[1]
    imagined = np.full((1, n_labels), 0.5 if multiple else 1 / n_labels, dtype=np.float32)
    points = np.concatenate([points, np.zeros((1, points.shape[1]), dtype=np.float32)])
    # A last column of ones: its coefficients are the intercepts, which are not regularised.
    points = np.concatenate([points, np.ones((len(points), 1), dtype=np.float32)], axis=1)
    shares = np.concatenate([shares, imagined])
    weights = np.append(weights, np.float32(2 if multiple else n_labels)).astype(np.float32)
    curvature = _CURVATURE * points.T @ (points * weights[:, None])
    solution = np.zeros((points.shape[1], n_labels))
    for strength in strengths:
        # In these coordinates the loss is about as steep in all directions, which saves most of the steps.
        steepness = curvature + strength * np.diag(np.append(np.ones(len(solution) - 1), 0))
        turn = np.linalg.inv(np.linalg.cholesky(steepness.astype(np.float64))).T
        start = np.linalg.solve(turn, solution)
        loss = _Loss(turn, points, shares, weights, strength, multiple)
        options = {"maxiter": _STEPS, "ftol": _TOLERANCE}
        steps = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
        solution = turn @ steps.x.reshape(start.shape)
        coefficients = solution.astype(np.float32)
        yield LinearClassifier(coefficients[:-1], coefficients[-1])


@dataclass(frozen=True)
class _Loss:
    """The regularised log loss and its slope, in coordinates that ``turn`` maps to coefficients."""

    turn: NDArray[np.float64]
    points: Floats
    shares: Floats
    weights: Floats
    strength: float
    multiple: bool

    def __call__(self, turned: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        coefficients = self.turn @ turned.reshape(len(self.turn), -1)
        scores = self.points @ coefficients.astype(np.float32)
        if self.multiple:
            losses = (np.logaddexp(0, scores) - self.shares * scores).sum(axis=1)
            from scipy.special import expit  # noqa: PLC0415 - as above

            chances = expit(scores)
        else:
            scores -= scores.max(axis=1, keepdims=True)
            chances = np.exp(scores)
            sums = chances.sum(axis=1, keepdims=True)
            losses = np.log(sums[:, 0]) - (self.shares * scores).sum(axis=1)
            chances /= sums
        errors = (chances - self.shares) * self.weights[:, None]
        slopes = (self.points.T @ errors).astype(np.float64)
        slopes[:-1] += self.strength * coefficients[:-1]
        penalty = self.strength / 2 * (coefficients[:-1] ** 2).sum()
        total = np.dot(losses.astype(np.float64), self.weights) + penalty
        return float(total), (self.turn.T @ slopes).ravel()

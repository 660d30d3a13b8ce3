"""Exact principal components of volumes, from their products with each other."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from mri3d.errors import UserError, option
from mri3d.volumes.sequence import VolumeSequence
from mri3d.voxels.gram import gram, row_products
from mri3d.voxels.projection import Projection

NumComponents = int | float | None
"""How many components: a number, the fraction of variance that they explain at least, or None for all there are."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvectors and variances of centred volumes, largest first.

    The sign of a vector is such that its entry of largest magnitude, the first of several, is positive.

    Attributes:
        vectors: Unit vectors over the rows, float64 [N, R]; R is the rank.
        variances: Variance along each component, float64 [R], all positive.
        total_variance: Of all components together, also of those that rounding hides.
    """

    vectors: np.ndarray
    variances: np.ndarray
    total_variance: float

    @property
    def ratios(self) -> np.ndarray:
        """Share of each component in the total variance, [R]."""
        return self.variances / self.total_variance

    def count(self, num_components: NumComponents) -> int:
        """Resolve `num_components` to a count: at most R, and for a fraction as scikit-learn counts."""
        rank = len(self.variances)
        if num_components is None:
            return rank
        if isinstance(num_components, int):
            return min(num_components, rank)
        return min(int(np.searchsorted(np.cumsum(self.ratios), num_components, side="right")) + 1, rank)


@dataclass(frozen=True, eq=False)
class GramPCA:
    """PCA of training rows that knows their products alone, and never a voxel.

    Attributes:
        spectrum: Of the centred training rows.
        means: Mean product of each training row with the training rows, float64 [N].
    """

    spectrum: Spectrum
    means: np.ndarray

    @classmethod
    def fit(cls, products: np.ndarray) -> Self:
        """Decompose the products of the training rows with each other, [N, N].

        Raises:
            UserError: All training volumes are the same.
        """
        means = products.mean(axis=0)
        centred = products - means - means[:, None] + means.mean()
        return cls(_decompose(centred, largest=products.diagonal().max(), degrees=len(means) - 1), means)

    @property
    def lengths(self) -> np.ndarray:
        """Euclidean norm of the training rows' scores along each component, [R]: the singular values."""
        lengths: np.ndarray = np.sqrt(self.spectrum.variances * (len(self.means) - 1))
        return lengths

    @property
    def training_scores(self) -> np.ndarray:
        """Scores of the training rows, [N, R]."""
        scores: np.ndarray = self.spectrum.vectors * self.lengths
        return scores

    @property
    def weights(self) -> np.ndarray:
        """What each training volume gives to each component, [R, N]: components are weights @ volumes.

        Each row sums to 0, so the volumes need not be centred.
        """
        weights: np.ndarray = (self.spectrum.vectors / self.lengths).T
        weights -= weights.mean(axis=1, keepdims=True)
        return weights

    def scores(self, cross: np.ndarray) -> np.ndarray:
        """Project other rows.

        Args:
            cross: Their products with the training rows, [M, N].

        Returns:
            float64 [M, R].
        """
        centred = cross - cross.mean(axis=1, keepdims=True) - self.means + self.means.mean()
        scores: np.ndarray = centred @ (self.spectrum.vectors / self.lengths)
        return scores

    def squares(self, cross: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Return the squared distance of other rows from the mean of the training rows, [M].

        Args:
            cross: Their products with the training rows, [M, N].
            own: Their products with themselves, [M].
        """
        squares: np.ndarray = own - 2 * cross.mean(axis=1) + self.means.mean()
        return squares


@dataclass
class PCA:
    """Exact PCA of some volumes of a cohort, as `sklearn.decomposition.PCA(svd_solver="full")` but for the signs.

    Args:
        num_components: How many: a number, a fraction of variance, or None for all.
        standardize: Whether each voxel is divided by its standard deviation, which costs a pass over the voxels.
        normalize: Whether each volume is first divided by its Euclidean norm.

    Attributes:
        rows_: The rows fitted on, [N].
        num_components_: P.
        explained_variance_: [P].
        explained_variance_ratio_: [P].
        scores_: Of the rows fitted on, [N, P].
        weights_: What each row's volume gives to each component, [P, N].
    """

    num_components: NumComponents = None
    standardize: bool = False
    normalize: bool = False

    def fit(self, volumes: VolumeSequence, rows: np.ndarray) -> Self:
        """Fit on some rows.

        Raises:
            UserError: More components are asked for than the rows have, or all volumes are the same.
        """
        check_num_components(self.num_components, len(rows))
        (products,) = row_products(
            volumes, rows, trainings=[np.arange(len(rows))], standardize=self.standardize, normalize=self.normalize
        )
        pca = GramPCA.fit(products)
        count = pca.spectrum.count(self.num_components)
        self.volumes_, self.rows_, self.num_components_ = volumes, rows, count
        self._mean: np.ndarray | None = None
        self.explained_variance_ = pca.spectrum.variances[:count]
        self.explained_variance_ratio_ = pca.spectrum.ratios[:count]
        self.scores_, self.weights_ = pca.training_scores[:, :count], pca.weights[:count]
        return self

    def mean(self) -> np.ndarray:
        """Average the volumes fitted on, as they were prepared, float32 [X, Y, Z]; after `sum_volumes` at no cost."""
        mean = self.sum_volumes(np.empty((0, len(self.rows_)))).mean if self._mean is None else self._mean
        return mean.reshape(self.volumes_.shape[1:])

    def sum_volumes(self, weights: np.ndarray) -> Projection:
        """Add up the volumes fitted on, in one pass over their voxels.

        Args:
            weights: [S, N], each row of sum 0; `sum_volumes(weights_)` gives the components.

        Returns:
            The sums as `directions` [S, V], with the `mean` of the volumes [V].
        """
        sums = Projection.sum_volumes(
            self.volumes_, self.rows_, weights, standardize=self.standardize, normalize=self.normalize
        )
        self._mean = sums.mean
        return sums


@dataclass
class TransposedPCA:
    """PCA of the transposed matrix: voxels are the samples and subjects the features, so its scores are images.

    Args:
        num_components: How many: a number, a fraction of variance, or None for all; no more than there are subjects.

    Attributes:
        components_: Unit vectors over the subjects, [P, N].
        explained_variance_: Over the voxels, [P].
        explained_variance_ratio_: [P].
    """

    num_components: NumComponents = 0.999

    def fit(self, volumes: VolumeSequence, rows: np.ndarray) -> Self:
        """Fit on some rows.

        Raises:
            UserError: Every volume is constant.
        """
        found, num_voxels = gram(volumes), int(np.prod(volumes.shape))
        products, sums = found.products[np.ix_(rows, rows)], found.sums[rows]
        centred = products - np.outer(sums, sums) / num_voxels
        spectrum = _decompose(centred, largest=products.diagonal().max(), degrees=num_voxels - 1)
        count = spectrum.count(self.num_components)
        self.volumes_, self.rows_, self.means_ = volumes, rows, sums / num_voxels
        self.components_ = spectrum.vectors[:, :count].T
        self.explained_variance_, self.explained_variance_ratio_ = spectrum.variances[:count], spectrum.ratios[:count]
        return self

    def eigenbrains(self, which: np.ndarray) -> np.ndarray:
        """Compute the scores of all voxels along chosen components, float32 [len(which), X, Y, Z]."""
        weights = self.components_[which]
        sums = Projection.sum_volumes(self.volumes_, self.rows_, weights, standardize=False, normalize=False).directions
        sums -= (weights @ self.means_)[:, None].astype(np.float32)
        return sums.reshape(-1, *self.volumes_.shape[1:])


def check_num_components(num_components: NumComponents, num_rows: int) -> None:
    """Refuse what no PCA of so many rows can give.

    Raises:
        UserError: The number is below 1 or not below the number of rows, or the fraction is not between 0 and 1.
    """
    if num_components is None:
        return
    asked = option("model.num_components", num_components)
    if isinstance(num_components, bool) or not isinstance(num_components, int | float):
        raise UserError(f"{asked} is no number. Give 50, 0.95 or null.")
    if isinstance(num_components, int) and not 1 <= num_components < num_rows:
        raise UserError(
            f"{asked} is impossible: PCA learns from {num_rows} rows, which have "
            f"{num_rows - 1} components at most. Give 1 to {num_rows - 1}, a fraction of variance, or null for all."
        )
    if isinstance(num_components, float) and not 0 < num_components < 1:
        raise UserError(
            f"{asked} is no fraction of variance. Give one between 0 and 1, such as "
            "0.95, a whole number, or null for all."
        )


def _decompose(centred: np.ndarray, *, largest: float, degrees: int) -> Spectrum:
    """Decompose centred products [N, N] whose uncentred diagonal reaches `largest`, with so many degrees of freedom."""
    values, vectors = np.linalg.eigh(centred)
    values, vectors = values[::-1], vectors[:, ::-1]
    rank = min(int((values > len(values) * np.finfo(np.float64).eps * largest).sum()), degrees)
    if rank == 0:
        raise UserError(
            f"the {len(values)} training volumes are all the same, every voxel is constant: "
            "there is nothing to learn from. Check the scans and the preprocessing."
        )
    values, vectors = values[:rank], vectors[:, :rank]
    peaks = vectors[np.abs(vectors).argmax(axis=0), np.arange(rank)]
    return Spectrum(vectors * np.sign(peaks), values / degrees, float(np.trace(centred) / degrees))

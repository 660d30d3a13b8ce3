"""Two models compared on the same draws."""

from mri3d.evaluation.paired import Comparison, Sampled, compare_sampled


def compare_tests(first, second, sampling, *, primary, replicates=2000, seed=0) -> Comparison:
    """Compare tests of two models."""
    one, other = (Sampled.of(tests, sampling, replicates=replicates, seed=seed) for tests in (first, second))
    return compare_sampled(one, other, sampling, primary=primary)

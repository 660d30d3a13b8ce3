"""Convolutions with large kernels, by Fourier transforms."""

"""PCA, then a linear or kernel model."""

"""The cohort as a matrix, streamed: blocks, Gram matrix, projection, PCA."""

"""Folds, cross-validation and scores."""

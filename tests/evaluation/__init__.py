"""Tests of folds, cross-validation and scores."""

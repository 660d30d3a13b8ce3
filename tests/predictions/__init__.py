"""Tests of the folder of predictions."""

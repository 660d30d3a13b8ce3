"""Tests of mri3d.nets."""

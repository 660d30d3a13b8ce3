"""Layers and networks, in pure torch."""

"""The version, which model folders keep."""

__version__ = "0.3.0"

"""Train, judge, explain and use classifiers of 3D brain scans."""

__version__ = "0.1.0"

"""The command line: the only place that knows Hydra, and the paths that options have in a configuration."""

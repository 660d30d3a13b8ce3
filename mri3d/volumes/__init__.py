"""From scans to volumes and back: recipe, resampling, cache, data module."""

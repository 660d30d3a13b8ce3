"""Maps that say why."""

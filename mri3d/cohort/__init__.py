"""Who takes part: the table of sessions, where it comes from, and its audit."""

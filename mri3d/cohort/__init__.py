"""Who takes part: the table of subjects, where it comes from, and its audit."""

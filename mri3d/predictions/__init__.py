"""Where predictions go: one by one, resumed where a call was cut off, and never over a file of the user's."""

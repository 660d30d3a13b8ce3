"""One scan file: read, guarded, oriented, written."""

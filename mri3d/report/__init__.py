"""Arrays and tables in, files for people out."""

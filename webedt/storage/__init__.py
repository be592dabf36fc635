"""Where the contents of files are kept: objects under keys, outside the process and outside the database."""

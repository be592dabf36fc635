"""What the tests stand on: a PostgreSQL server for the run, and a database of its own for each test."""

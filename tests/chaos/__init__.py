"""Real replicas, broken on purpose. Each scenario says in one line what it broke and what a reader saw of it."""

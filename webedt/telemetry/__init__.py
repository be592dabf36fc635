"""What operators see: log lines, metrics and traces. Must not know what any service does."""

"""What operators see: log lines and metrics. Must not know what any service does."""

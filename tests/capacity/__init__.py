"""What a larger deployment would need, reckoned from what was measured (`scripts/capacity`, `docs/scaling.md`)."""

"""Telling other replicas that something changed. A signal carries no truth: it may be lost, repeated or late."""

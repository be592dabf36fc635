"""Benchmarks: ratios against a baseline measured in the same run, for machines are shared and noisy."""

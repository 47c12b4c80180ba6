"""Benchmarks: what one upload costs, for sluice and for rattler-index, on the same S3."""

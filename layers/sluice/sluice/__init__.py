"""Keeps the index of conda channels on S3 up to date from events."""

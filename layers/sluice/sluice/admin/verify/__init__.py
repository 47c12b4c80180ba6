"""The check of a channel against its catalog, down to the last byte, and its repair."""

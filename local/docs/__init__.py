"""The documentation: the pages of it that are made from the source."""

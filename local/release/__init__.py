"""A release: everything that somebody needs who has no clone, in one folder."""

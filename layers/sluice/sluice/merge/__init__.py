"""From the staging records of one subdir to a commit and its published files."""

"""The merge function: from the staging records of one subdir to a commit and published files."""

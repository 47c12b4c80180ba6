"""The index that another tool published before sluice, and how it becomes the first commit."""

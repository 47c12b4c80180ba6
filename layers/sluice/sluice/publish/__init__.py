"""Publishing: from a generation of the catalog to the files that clients read."""

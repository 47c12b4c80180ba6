"""From a generation of the catalog to the files that clients read (design, section 9)."""

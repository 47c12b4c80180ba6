"""``sluice watch``: one process that keeps channels indexed where there are no functions."""

"""``sluice watch``: one process that keeps channels indexed without a stack."""

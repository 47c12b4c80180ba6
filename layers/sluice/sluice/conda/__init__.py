"""What the CEPs say of names, versions, match specs, records and patches.  Pure: no requests."""

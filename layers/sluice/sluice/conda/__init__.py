"""The CEPs' rules for names, versions, match specs, records and patches.  Pure: no requests."""

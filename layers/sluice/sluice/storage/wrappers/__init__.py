"""Object stores that change a few requests to another store, or answer them themselves."""

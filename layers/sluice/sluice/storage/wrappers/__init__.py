"""Object stores that change a few requests of another one, or answer them themselves."""

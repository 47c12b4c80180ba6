"""The Python API: what people ask of a channel, each a function of a ``Channel``."""

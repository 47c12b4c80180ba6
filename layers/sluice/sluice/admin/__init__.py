"""The Python API: what people can do with a channel, as functions of a ``Channel``."""

"""What a person asks of a channel: one module per question, each a function of a ``Channel``."""

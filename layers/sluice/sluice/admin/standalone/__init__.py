"""The whole pipeline in one process, without Lambda and queues: ``sluice index``."""

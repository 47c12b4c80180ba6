"""The session of a person with a channel: its address, its buckets, its stack, its queues."""

"""Opening a channel: its address, its buckets, its stack, its queues."""

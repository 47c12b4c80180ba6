"""What travels through the queues: events, merge requests, steps of reconcile."""

"""The messages in the queues: events, merge requests, steps of reconcile."""

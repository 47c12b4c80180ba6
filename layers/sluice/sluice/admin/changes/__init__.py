"""What changes a channel on request: pins, removals, rollbacks, snapshots, rebinding."""

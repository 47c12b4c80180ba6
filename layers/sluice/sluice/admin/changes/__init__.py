"""The changes that people make to a channel: pins, removals, rollbacks, snapshots, rebinding."""

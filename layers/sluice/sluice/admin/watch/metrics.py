"""The Prometheus metrics of ``GET /metrics``."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE

__all__ = ["CONTENT_TYPE", "WatchMetrics"]

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)


class WatchMetrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        registry = self._registry
        self.notifications = Counter(
            "sluice_watch_notifications",
            "Requests to POST /events, by status code.",
            ["status"],
            registry=registry,
        )
        self.events = Counter(
            "sluice_watch_events",
            "Events in notifications: for a watched channel (hint) or not (ignored).",
            ["kind"],
            registry=registry,
        )
        self.pending = Gauge(
            "sluice_watch_pending_packages",
            "Packages that events have named and that have not been read yet.",
            ["channel"],
            registry=registry,
        )
        self.runs = Counter(
            "sluice_watch_runs",
            "Runs, by cause (listing, events) and result (indexed, unchanged, failed).",
            ["channel", "cause", "result"],
            registry=registry,
        )
        self.run_seconds = Histogram(
            "sluice_watch_run_seconds",
            "Duration of a run.",
            ["cause"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.packages_read = Counter(
            "sluice_watch_packages_read", "Packages that were read.", ["channel"], registry=registry
        )
        self.last_success = Gauge(
            "sluice_watch_last_listing_timestamp_seconds",
            "Time of the last successful listing, in seconds since the epoch.",
            ["channel"],
            registry=registry,
        )
        self.leader = Gauge(
            "sluice_watch_leader",
            "1 while this process is active; 0 while another process holds the lease.",
            registry=registry,
        )

    def render(self) -> bytes:
        """All of them in the text format of Prometheus."""
        return generate_latest(self._registry)

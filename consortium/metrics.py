"""Prometheus metrics of a node. Labels are members, reasons and states: never a user, a payload or an id.

They are read without a token, block by block if somebody likes: so nothing here counts the records that this node is a
party to, which would tell who trades with whom.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_RECORDS = (0, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)


class Metrics:
    """One registry per node, so that several nodes can live in one process (tests)."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.order_seconds = Histogram(
            "consortium_order_seconds", "From sending a batch to knowing its position", registry=registry,
            buckets=_SECONDS,
        )  # fmt: skip
        self.apply_seconds = Histogram(
            "consortium_apply_seconds", "From a log entry to its committed block", registry=registry, buckets=_SECONDS
        )
        self.batch_records = Histogram(
            "consortium_batch_records", "Records per own batch", registry=registry, buckets=_RECORDS
        )
        self.height = Gauge("consortium_height", "Blocks applied", registry=registry)
        self.size = Gauge("consortium_tree_size", "Records accepted", registry=registry)
        self.rejected = Counter(
            "consortium_rejected_records", "Records rejected, by reason", ["member", "reason"], registry=registry
        )
        self.refused = Counter(
            "consortium_refused_batches", "Batches refused, by reason", ["member", "reason"], registry=registry
        )
        self.lag = Gauge("consortium_log_lag", "Log revisions between this node and the log's head", registry=registry)
        self.log_up = Gauge("consortium_log_up", "1 while the ordering log answers", registry=registry)
        self.log_used = Gauge("consortium_log_used_ratio", "Used part of the log's quota", registry=registry)
        self.witnessed = Gauge("consortium_witnessed_size", "Largest tree that a quorum cosigned", registry=registry)
        self.peer_checkpoint = Gauge(
            "consortium_peer_checkpoint_size", "Largest tree that a member cosigned", ["member"], registry=registry
        )
        self.peer_height = Gauge("consortium_peer_height", "Height of a member's node", ["member"], registry=registry)
        self.tampering = Gauge("consortium_tampering", "1 once tampering was noticed", registry=registry)
        self.faults = Counter(
            "consortium_commitment_mismatches", "Records sealed otherwise than committed", ["author"],
            registry=registry,
        )  # fmt: skip
        self.backlog = Gauge("consortium_backlog", "Records that wait to be ordered", registry=registry)
        self.policy_errors = Gauge("consortium_policy_errors", "Decisions denied by an error", registry=registry)
        self.accesses = Gauge(
            "consortium_accesses_queued", "Reads that wait to be told to their subjects", registry=registry
        )
        self.accesses_age = Gauge(
            "consortium_accesses_oldest_seconds", "Age of the oldest of them; 0 without any", registry=registry
        )
        self.checked = Gauge("consortium_checked_height", "Blocks that the node's own audit has passed",
                             registry=registry)  # fmt: skip

        self.overdue = Gauge(
            "consortium_disclosures_overdue", "Records (of the node's own member: grants) not disclosed in time",
            ["member"], registry=registry,
        )  # fmt: skip
        self.acknowledgements_overdue = Gauge(
            "consortium_acknowledgements_overdue", "Members' words on erasures that are late", registry=registry
        )
        self.disclosed_wrong = Counter(
            "consortium_disclosures_refused", "Disclosed records that do not hold, or lie outside their grant",
            ["member"], registry=registry,
        )  # fmt: skip
        self.without_escrow = Counter(
            "consortium_without_escrow",
            "Supervised records sealed without escrow: there were no two keys for their area",
            registry=registry,
        )  # fmt: skip

    def accesses_waiting(self, count: int, age_s: float) -> None:
        """So many reads wait to be told, the oldest since `age_s` seconds."""
        self.accesses.set(count)
        self.accesses_age.set(age_s)

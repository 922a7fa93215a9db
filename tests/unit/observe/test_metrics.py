"""What each role counts."""

from prometheus_client import CollectorRegistry

from ingress.webhooks.metrics import IngressMetrics
from shared.observe.metrics import new_registry
from workers.confirmations.metrics import ConfirmationMetrics
from workers.dead_letters.metrics import DeadLetterMetrics
from workers.outbox.metrics import OutboxMetrics


def test_the_door_counts_answers_by_endpoint_status_and_reason() -> None:
    registry = CollectorRegistry()
    metrics = IngressMetrics(registry)
    for _ in range(3):
        metrics.answered("siglume", "204", "accepted")
    metrics.answered("siglume", "401", "signature_stale")
    metrics.verified("siglume", "abc")
    metrics.published(0.004)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    total = "kessai_ingress_requests_total"
    assert value(total, endpoint="siglume", status="204", reason="accepted") == 3
    assert value(total, endpoint="siglume", status="401", reason="signature_stale") == 1
    assert value("kessai_ingress_secret_hits_total", endpoint="siglume", fingerprint="abc") == 1
    assert value("kessai_ingress_publish_seconds_bucket", le="0.005") == 1
    assert value("kessai_ingress_publish_seconds_bucket", le="0.0025") == 0


def test_a_secret_without_hits_is_shown_at_zero() -> None:
    registry = CollectorRegistry()
    IngressMetrics(registry).expect_secret("siglume", "old")
    labels = {"endpoint": "siglume", "fingerprint": "old"}
    assert registry.get_sample_value("kessai_ingress_secret_hits_total", labels) == 0


def test_gauges_are_read_when_scraped() -> None:
    registry = CollectorRegistry()
    now = [3]
    IngressMetrics(registry).watch(in_flight=lambda: now[0], connections=lambda: 2 * now[0], broker_ready=lambda: False)
    now[0] = 5
    assert registry.get_sample_value("kessai_ingress_in_flight") == 5
    assert registry.get_sample_value("kessai_ingress_connections") == 10
    assert registry.get_sample_value("kessai_ingress_broker_ready") == 0


def test_the_worker_counts_outcomes_batches_and_waits() -> None:
    registry = CollectorRegistry()
    metrics = ConfirmationMetrics(registry)
    metrics.settled(endpoint="siglume", kind="standard_settled", outcome="applied", events=7)
    metrics.committed(events=7, seconds=0.02)
    metrics.waited(0.3)
    metrics.retried("DeadlockDetectedError")
    metrics.dead_lettered("unreadable_envelope")
    metrics.watch(held=lambda: 12)

    settled = {"endpoint": "siglume", "kind": "standard_settled", "outcome": "applied", "reason": ""}
    assert registry.get_sample_value("kessai_events_total", settled) == 7
    assert registry.get_sample_value("kessai_batch_events_sum") == 7
    assert registry.get_sample_value("kessai_batch_seconds_count") == 1
    assert registry.get_sample_value("kessai_receipt_to_commit_seconds_bucket", {"le": "0.5"}) == 1
    assert registry.get_sample_value("kessai_transient_retries_total", {"error": "DeadlockDetectedError"}) == 1
    assert registry.get_sample_value("kessai_dead_letters_total", {"reason": "unreadable_envelope"}) == 1
    assert registry.get_sample_value("kessai_held_deliveries") == 12


def test_every_role_fits_into_one_registry() -> None:
    registry = new_registry()
    IngressMetrics(registry)
    ConfirmationMetrics(registry)
    outbox, archive = OutboxMetrics(registry), DeadLetterMetrics(registry)
    outbox.published("order.paid", 2)
    outbox.lag(1.5)
    outbox.relayed(0.01)
    archive.archived("malformed:not_json")
    archive.committed(0.01)
    assert registry.get_sample_value("kessai_outbox_published_total", {"name": "order.paid"}) == 2
    assert registry.get_sample_value("kessai_outbox_lag_seconds") == 1.5
    assert registry.get_sample_value("kessai_archive_dead_letters_total", {"reason": "malformed:not_json"}) == 1
    assert registry.get_sample_value("process_resident_memory_bytes") is not None

"""Alerts, runbook and reference name what the roles really export."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from ingress.checkout.metrics import CheckoutMetrics
from ingress.console.metrics import ConsoleMetrics
from ingress.webhooks.metrics import IngressMetrics
from shared.observe.database_up import DatabaseUp
from workers.confirmations.metrics import ConfirmationMetrics
from workers.dead_letters.metrics import DeadLetterMetrics
from workers.outbox.metrics import OutboxMetrics
from workers.overview.metrics import OverviewMetrics
from workers.reconcile.metrics import ReconcileMetrics, SweepMetrics
from workers.reviews.metrics import ReviewMetrics

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = [rule for group in yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
REGISTERED: tuple[Callable[[CollectorRegistry], object], ...] = (
    *(IngressMetrics, ConfirmationMetrics, DeadLetterMetrics, OutboxMetrics, ReviewMetrics),
    *(ReconcileMetrics, SweepMetrics, CheckoutMetrics, ConsoleMetrics),
    *(DatabaseUp, OverviewMetrics),
)
METRIC = re.compile(r"\bkessai_[a-z_]+")


def _exported() -> set[str]:
    registry = CollectorRegistry()
    for register in REGISTERED:
        register(registry)
    suffixes = {"counter": ("_total",), "histogram": ("", "_bucket", "_count", "_sum"), "gauge": ("",)}
    return {family.name + suffix for family in registry.collect() for suffix in suffixes[family.type]}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_asks_for_metrics_that_exist_and_has_a_page_in_the_runbook(rule: dict[str, str]) -> None:
    assert set(METRIC.findall(rule["expr"])) - _exported() == set()
    assert f"\n## {rule['alert']}\n" in (DEPLOY / "runbook.md").read_text()


def test_the_reference_names_every_metric() -> None:
    named = set(METRIC.findall((DEPLOY / "reference.md").read_text()))

    assert named - _exported() == set()
    histogram_parts = ("_bucket", "_count", "_sum")
    assert {name for name in _exported() if not name.endswith(histogram_parts)} - named == set()

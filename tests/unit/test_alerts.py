"""Alerts, runbook and reference name what the roles export, and each other."""

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


def test_every_section_of_the_runbook_is_about_an_alert_of_the_rules() -> None:
    sections = re.findall(r"^## (\w+)$", (DEPLOY / "runbook.md").read_text(), re.MULTILINE)

    assert sorted(sections) == sorted({rule["alert"] for rule in RULES})


def test_no_two_rules_make_the_same_alert() -> None:
    alerts = [(rule["alert"], *sorted(rule["labels"].items())) for rule in RULES]

    assert len(set(alerts)) == len(alerts)


def test_a_rule_for_missing_processes_names_series_that_a_process_has_from_its_start() -> None:
    registry = CollectorRegistry()
    made = [register(registry) for register in REGISTERED]
    for each in made:
        if isinstance(each, ReconcileMetrics):
            each.expect("siglume")
    series = {sample.name for family in registry.collect() for sample in family.samples}
    missing = [name for rule in RULES for name in re.findall(r"absent\((\w+)\)", rule["expr"])]

    assert len(missing) == 5  # ingress, confirmations, dead-letters, outbox, reconcile
    assert set(missing) <= series


def test_the_reference_names_every_metric() -> None:
    named = set(METRIC.findall((DEPLOY / "reference.md").read_text()))

    assert named - _exported() == set()
    histogram_parts = ("_bucket", "_count", "_sum")
    assert {name for name in _exported() if not name.endswith(histogram_parts)} - named == set()

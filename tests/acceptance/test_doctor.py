"""`kessai doctor` finds what is wrong, says what to do, and gives no secret away."""

from typing import Any

import psycopg

from deploy.local.ports import LOOPBACK, free_ports
from tests.acceptance.conftest import Pipeline
from tests.programs import Kessai, Ran


def findings(ran: Ran) -> dict[str, dict[str, Any]]:
    return {finding["check"]: finding for finding in ran.array()}


def test_all_is_well_with_a_whole_kessai(pipeline: Pipeline) -> None:
    ran = pipeline.kessai("doctor", "--json", environment={"SIGLUME_DIRECT_PAYMENT_MERCHANT": "tea_house"})
    assert ran.returncode == 0
    found = findings(ran)
    assert {name: finding["health"] for name, finding in found.items()} == dict.fromkeys(found, "ok")
    assert found.keys() >= {
        *("endpoint siglume", "postgres", "clock", "migrations", "archive", "outbox"),
        *("rabbitmq", "topology", "kessai.confirmations", "kessai.dead-letters"),
    }
    assert "whsec_tests" not in ran.stdout
    for_people = pipeline.kessai("doctor")
    assert for_people.returncode == 0
    assert "✓" in for_people.stdout


def test_what_is_missing_is_named_with_what_to_do(kessai: Kessai, database_url: str) -> None:
    empty = database_url.rpartition("/")[0] + "/postgres"
    ran = kessai("doctor", "--json", environment={"KESSAI_DATABASE_URL": empty})
    assert ran.returncode == 1
    found = findings(ran)
    assert found["migrations"]["health"] == "fail"
    assert "kessai migrate" in found["migrations"]["advice"]
    assert found["topology"]["health"] == "fail"
    assert "kessai topology apply" in found["topology"]["advice"]
    assert "archive" not in found


def test_messages_that_nobody_consumes_are_a_failure(kessai: Kessai) -> None:
    assert kessai("topology", "apply").returncode == 0
    assert findings(kessai("doctor", "--json"))["kessai.confirmations"]["health"] == "warn"
    (port,) = free_ports(1)
    with kessai.role("ingress", "--host", LOOPBACK, "--port", str(port)):
        sent = kessai(
            "send", "--set", "data.challenge_hash=sha256:a", "--url", f"http://{LOOPBACK}:{port}/webhooks/siglume"
        )
        assert sent.returncode == 0, sent.stderr
    ran = kessai("doctor", "--json")
    assert ran.returncode == 1
    waiting = findings(ran)["kessai.confirmations"]
    assert waiting["health"] == "fail"
    assert "kessai worker confirmations" in waiting["advice"]


def test_a_fact_that_has_waited_for_more_than_a_minute_is_a_failure(kessai: Kessai, database_url: str) -> None:
    assert kessai("topology", "apply").returncode == 0
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            INSERT INTO kessai.outbox (shard, name, routing_key, subject, body, created_at)
            VALUES (0, 'order.paid', 'order.paid', 'order-1', '{}', now() - interval '61 seconds')
            """
        )
    ran = kessai("doctor", "--json")
    assert ran.returncode == 1
    assert findings(ran)["outbox"]["health"] == "fail"
    assert "Kessai can work here" not in kessai("doctor").stdout


def test_servers_that_are_away_are_found_away(kessai: Kessai) -> None:
    (nobody,) = free_ports(1)
    away = {
        "KESSAI_DATABASE_URL": f"postgresql://kessai:sesame@{LOOPBACK}:{nobody}/kessai",
        "KESSAI_AMQP_URL": f"amqp://kessai:sesame@{LOOPBACK}:{nobody}/%2F",
    }
    ran = kessai("doctor", "--json", environment=away)
    assert ran.returncode == 1
    failed = {name for name, finding in findings(ran).items() if finding["health"] == "fail"}
    assert failed == {"postgres", "rabbitmq"}
    for_people = kessai("doctor", environment=away)
    assert "sesame" not in ran.stdout + for_people.stdout + for_people.stderr
    assert "Traceback" not in for_people.stderr


def test_a_misspelt_setting_is_a_warning(kessai: Kessai) -> None:
    found = findings(kessai("doctor", "--json", environment={"KESSAI_BATCHSIZE": "5"}))
    assert found["settings"]["health"] == "warn"
    assert "KESSAI_BATCH_SIZE" in found["settings"]["found"]


def test_a_blank_secret_is_a_failure_and_a_missing_one_a_warning(kessai: Kessai) -> None:
    blank = findings(kessai("doctor", "--json", environment={"SIGLUME_WEBHOOK_SECRET": " "}))
    assert blank["endpoints"]["health"] == "fail"
    without = Kessai({name: url for name, url in kessai.environment.items() if "SECRET" not in name}, kessai.folder)
    assert findings(without("doctor", "--json"))["endpoints"]["health"] == "warn"


def test_settings_that_cannot_be_read_are_a_failure(kessai: Kessai) -> None:
    ran = kessai("doctor", "--json", environment={"KESSAI_BATCH_SIZE": "many"})
    assert ran.returncode == 1
    assert "KESSAI_BATCH_SIZE" in findings(ran)["settings"]["found"]

"""Whatever is wrong, a person reads one line and a script reads an exit code."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.stack import Stack
from tests.acceptance.conftest import assert_one_line
from tests.programs import KESSAI, Kessai, clean_environment


@pytest.fixture
def alone(tmp_path: Path) -> Kessai:
    """Without a server: for what must be refused before one is asked."""
    return Kessai({"SIGLUME_WEBHOOK_SECRET": "whsec_tests"}, tmp_path)


READS = (
    ("orders", "list"),
    ("orders", "show", "order-1"),
    ("orders", "add", "order-1", "--amount-minor", "1200", "--currency", "JPY"),
    ("orders", "cancel", "order-1"),
    ("events", "list"),
    ("reviews", "list", "--json"),
    ("dead-letters", "list"),
    ("migrate",),
)


@pytest.mark.parametrize("arguments", READS, ids=" ".join)
def test_a_database_that_is_away(alone: Kessai, arguments: tuple[str, ...]) -> None:
    (nobody,) = free_ports(1)
    away = {"KESSAI_DATABASE_URL": f"postgresql://kessai:sesame@{LOOPBACK}:{nobody}/kessai"}
    ran = alone(*arguments, environment=away)
    assert_one_line(ran, says="Postgres")
    assert "sesame" not in ran.stderr


@pytest.mark.parametrize("command", ["apply", "verify"])
def test_a_broker_that_is_away(alone: Kessai, command: str) -> None:
    (nobody,) = free_ports(1)
    away = {"KESSAI_AMQP_URL": f"amqp://kessai:sesame@{LOOPBACK}:{nobody}/%2F"}
    ran = alone("topology", command, environment=away)
    assert_one_line(ran, says="cannot connect to RabbitMQ")
    assert "sesame" not in ran.stderr


def test_a_virtual_host_that_is_not_there(kessai: Kessai, amqp_url: str) -> None:
    ran = kessai("topology", "verify", environment={"KESSAI_AMQP_URL": f"{amqp_url}-nowhere"})
    assert_one_line(ran, says="refuses the virtual host")


@pytest.mark.parametrize(
    ("variable", "url", "says"),
    [
        ("KESSAI_DATABASE_URL", "", "is not set"),
        ("KESSAI_DATABASE_URL", "sesame", "must begin with postgresql://"),
        ("KESSAI_DATABASE_URL", "mysql://u:sesame@h/x", "must begin with postgresql://"),
        ("KESSAI_DATABASE_URL", "postgresql://u:ses/ame@h/x", "%2F"),
        ("KESSAI_DATABASE_URL", "postgresql://u:sesame@h:54x2/x", "the port must be a number"),
        ("KESSAI_AMQP_URL", "", "is not set"),
        ("KESSAI_AMQP_URL", "http://u:sesame@h/x", "must begin with amqp://"),
        ("KESSAI_AMQP_URL", "amqp://u:ses#ame@h/x", "%23"),
        ("KESSAI_AMQP_URL", "amqp://u:sesame@h:567x2/x", "the port must be a number"),
        ("KESSAI_AMQP_URL", "amqp://u:sesame@/x", "names no host"),
    ],
)
def test_a_url_that_is_none(alone: Kessai, variable: str, url: str, says: str) -> None:
    command = ("events", "list") if variable == "KESSAI_DATABASE_URL" else ("topology", "verify")
    ran = alone(*command, environment={variable: url})
    assert_one_line(ran, says=says)
    assert variable in ran.stderr
    assert "sesame" not in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nonsense",), "No such command 'nonsense'"),
        (("orders", "nonsense"), "kessai orders --help"),
        (("orders", "show"), "Missing argument 'ORDER_ID'"),
        (("orders", "add", "x", "--amount-minor", "0", "--currency", "JPY"), "--amount-minor"),
        (("orders", "add", "x", "--amount-minor", "12.5", "--currency", "JPY"), "--amount-minor"),
        (("orders", "add", "x", "--amount-minor", str(2**53), "--currency", "JPY"), "--amount-minor"),
        (("orders", "add", "x", "--amount-minor", "5", "--currency", "EUR"), "--currency"),
        (("orders", "add", "x", "--amount-minor", "5", "--currency", "JPY", "--endpoint", "NO"), "endpoint"),
        (("orders", "list", "--state", "rich"), "--state"),
        (("orders", "list", "--limit", "0"), "--limit"),
        (("orders", "list", "--limit", "many"), "--limit"),
        (("orders", "list", "--nonsense"), "--nonsense"),
        (("orders", "import", "orders.txt"), "--format"),
        (("events", "list", "--outcome", "lucky"), "--outcome"),
        (("reviews", "show", "first"), "REVIEW_ID"),
        (("reviews", "show", str(2**63)), "REVIEW_ID"),
        (("reviews", "list", "--queue", "x"), "--queue"),
        (("dead-letters", "show", "-1"), "kessai dead-letters show --help"),
        (("send", "nonsense"), "nonsense"),
        (("send", "--body-file", "-", "spent"), "--body-file"),
        (("worker", "nonsense"), "nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage(alone: Kessai, arguments: tuple[str, ...], says: str) -> None:
    assert_one_line(alone(*arguments), code=2, says=says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("orders", "show", "nobody's"), "no order"),
        (("orders", "cancel", "nobody's"), "no order"),
        (("events", "show", "evt_nobody"), "no event"),
        (("reviews", "show", "4711"), "no review 4711"),
        (("dead-letters", "show", "4711"), "no dead letter 4711"),
        (("orders", "show", "\x1b[31mred"), r"\x1b[31mred"),
        (("orders", "add", " ", "--amount-minor", "5", "--currency", "JPY"), "order id"),
        (("orders", "add", "x" * 256, "--amount-minor", "5", "--currency", "JPY"), "255"),
        (("orders", "import", "nowhere.csv"), "nowhere.csv"),
        (("send", "--url", "nowhere"), "no address"),
        (("send", "--set", "nothing"), "sets nothing"),
        (("send", "--set", "id.deeper=1"), "id is no object"),
        (("send", "--for-order", "nobody's"), "no order"),
        (("send", "--body-file", "nowhere"), "nowhere"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_a_thing_that_is_not_there(kessai: Kessai, arguments: tuple[str, ...], says: str) -> None:
    assert_one_line(kessai(*arguments), says=says)


def test_books_that_were_never_made(kessai: Kessai, database_url: str) -> None:
    empty = {"KESSAI_DATABASE_URL": database_url.rpartition("/")[0] + "/postgres"}
    assert_one_line(kessai("events", "list", environment=empty), says="kessai migrate")


def test_an_ingress_that_is_away(alone: Kessai) -> None:
    (nobody,) = free_ports(1)
    ran = alone("send", "--url", f"http://{LOOPBACK}:{nobody}/webhooks/siglume")
    assert_one_line(ran, says="Connection refused")
    assert "whsec_tests" not in ran.stderr


def test_ctrl_c_ends_a_command_with_130(kessai: Kessai, stack: Stack) -> None:
    """Postgres stands still, so the command waits until it is interrupted."""
    (postgres,) = [service.pid for service in stack.status() if service.name == "postgres"]
    assert postgres is not None
    os.kill(postgres, signal.SIGSTOP)
    try:
        process = subprocess.Popen(
            [KESSAI, "orders", "list"],
            env=clean_environment() | dict(kessai.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(2.5)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=10)
    finally:
        os.kill(postgres, signal.SIGCONT)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert stdout == ""


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_a_closed_pipe_is_no_complaint(kessai: Kessai, form: list[str]) -> None:
    """As in `kessai orders list | head -1`, of a list too long for the pipe."""
    lines = "\n".join(f"order-{n:05},{n + 1},JPY" for n in range(3000))
    stdin = f"order_id,amount_minor,currency\n{lines}\n"
    assert kessai("orders", "import", "-", "--format", "csv", stdin=stdin).returncode == 0
    with subprocess.Popen(
        [KESSAI, "orders", "list", "--limit", "3000", *form],
        env=clean_environment() | dict(kessai.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode in (0, 1)

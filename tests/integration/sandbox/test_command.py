"""`kessai sandbox`: a program that serves, and commands that steer it."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from siglume_direct_request_payment import DirectRequestPaymentMerchantClient

from deploy.local.ports import LOOPBACK, free_ports
from tests.acceptance.conftest import assert_one_line
from tests.integration.cli.conftest import Terminal
from tests.programs import KESSAI, Ran, clean_environment


@pytest.fixture
def kessai(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Without a server: a sandbox needs none."""
    return Terminal({}, capfd, monkeypatch)


class Served:
    """A `kessai sandbox` that goes on, and commands for it."""

    def __init__(self, process: subprocess.Popen[str], kessai: Terminal, port: int, printed: dict[str, str]) -> None:
        self.process = process
        self.printed = printed
        self._kessai = kessai
        self.port = str(port)

    def one(self, command: str, *arguments: str) -> dict[str, Any]:
        return self._run(command, *arguments).object()

    def many(self, command: str, *arguments: str) -> list[dict[str, Any]]:
        return self._run(command, *arguments).array()

    def _run(self, command: str, *arguments: str) -> Ran:
        ran = self._kessai("sandbox", command, *arguments, "--port", self.port, "--json")
        assert ran.returncode == 0, ran.stderr
        return ran

    def client(self) -> DirectRequestPaymentMerchantClient:
        return DirectRequestPaymentMerchantClient(
            auth_token=self.printed["SIGLUME_MERCHANT_AUTH_TOKEN"], base_url=self.printed["SIGLUME_API_BASE"]
        )


@contextmanager
def serving(kessai: Terminal, *arguments: str) -> Iterator[Served]:
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [KESSAI, "sandbox", "--port", str(port), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    try:
        assert process.stderr is not None
        assert process.stdout is not None
        assert "the sandbox serves" in process.stderr.readline()
        lines = [process.stdout.readline().strip() for _ in range(8)]
        yield Served(process, kessai, port, dict(line.split("=", 1) for line in lines))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def served(kessai: Terminal) -> Iterator[Served]:
    with serving(kessai, "--frozen", "--webhook-url", "http://localhost:9/hook") as found:
        yield found


def test_it_prints_what_a_shop_sets(kessai: Terminal) -> None:
    with serving(kessai) as served:
        assert served.printed == {
            "SIGLUME_ENV": "sandbox",
            "SIGLUME_API_BASE": f"http://127.0.0.1:{served.port}/v1",
            "SIGLUME_DIRECT_PAYMENT_MERCHANT": "sandbox_merchant",
            "SIGLUME_MERCHANT_AUTH_TOKEN": "sandbox_merchant_token",
            "SIGLUME_WEBHOOK_SECRET": "whsec_sandbox_local",
            "SHOP_PUBLIC_ORIGIN": "http://localhost:3000",
            "SHOP_WEBHOOK_URL": "http://127.0.0.1:8080/webhooks/siglume",
            "SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET": "edrp_sandbox_local",
        }


def test_the_commands_steer_it(served: Served) -> None:
    opened = served.client().create_checkout_session(
        merchant="sandbox_merchant",
        amount_minor=200,
        currency="JPY",
        nonce="order-1",
        success_url="http://localhost:3000/thanks",
        cancel_url="http://localhost:3000/cart",
    )
    assert {each["share"] for each in served.many("faults", "settlement-fails", "--times", "40")} == {0, 1}
    assert served.one("pay", opened["session_id"], "--buyer", "ann")["status"] == "paid"
    started = served.one("advance", "0s")["now"]
    assert served.one("advance", "60d")["now"] > started
    (batch,) = served.many("batches")
    assert batch["status"] == "past_due"
    (ended,) = served.many("batches", batch["settlement_batch_id"], "written_off")
    assert ended["status"] == "written_off"
    assert {each["share"] for each in served.many("faults", "--clear")} == {0}
    failed = served.many("deliveries", "--status", "failed")
    assert {each["event_type"] for each in failed} == {"direct_payment.confirmed", "direct_payment.spent"}
    (again,) = served.many("deliveries", "--redeliver", failed[0]["id"])
    assert (again["event_id"], again["attempt_count"]) == (failed[0]["event_id"], 1)
    assert served.one("books")["totals"]["JPY"]["written_off"] == "198"


def test_people_get_tables(served: Served, kessai: Terminal) -> None:
    shown = [
        kessai("sandbox", "--port", served.port, command) for command in ("faults", "deliveries", "batches", "books")
    ]
    assert [ran.returncode for ran in shown] == [0, 0, 0, 0]
    assert "settlement_fails" in shown[0].stdout
    assert "pay a session first" in shown[1].stderr
    assert "standard gross" in shown[3].stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_quietly(served: Served, number: signal.Signals) -> None:
    served.process.send_signal(number)
    output, errors = served.process.communicate(timeout=10)
    assert (served.process.returncode, output, errors) == (0, "", "")


def test_its_clock_runs_by_itself_unless_it_is_frozen(kessai: Terminal, served: Served) -> None:
    with serving(kessai) as running:
        before = (served.one("advance", "0s")["now"], running.one("advance", "0s")["now"])
        time.sleep(0.5)
        after = (served.one("advance", "0s")["now"], running.one("advance", "0s")["now"])
    assert before[0] == after[0]
    assert before[1] < after[1]


def test_a_port_in_use(kessai: Terminal) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_one_line(kessai("sandbox", "--port", port), says="the port is in use")


def test_no_sandbox_to_steer(kessai: Terminal) -> None:
    (nobody,) = free_ports(1)
    assert_one_line(kessai("sandbox", "advance", "7d", "--port", str(nobody)), says="start one with `kessai sandbox`")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "65536"], "less than or equal to 65535"),
        (["--origin", "localhost"], "origin must be an https URL"),
        (["--webhook-url", "http://shop.example/hook"], "webhook_url must be an https URL"),
        (["--webhook-secret", " "], "the webhook secret is blank"),
        (["--merchant", "Tea House"], "is no merchant key"),
        (["advance"], "Missing argument"),
        (["advance", "a week"], "is no span of time"),
        (["advance", "-7d"], "No such option"),
        (["faults", "drop=often"], "write e.g. drop=0.1"),
        (["batches", "batch_1", "forgive"], "uncollectible, written_off, requeue"),
        (["fire"], "No such command"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_values_are_one_line(kessai: Terminal, arguments: list[str], says: str) -> None:
    assert_one_line(kessai("sandbox", *arguments), says=says, code=2)


REFUSED = {
    ("faults", "fire"): "'fire' is no fault: there are drop",
    ("faults", "drop=2"): "give 0 (never) to 1 (always)",
    ("pay", "chk_nowhere"): "there is no checkout session 'chk_nowhere'",
    ("deliveries", "--redeliver", "no/such"): "there is no webhook delivery",
    ("batches", "batch_1", "requeue"): "there is no settlement batch",
    ("advance", "4000d"): "up to 3660 days at once",
}


def test_what_the_sandbox_refuses_is_one_line(served: Served, kessai: Terminal) -> None:
    for arguments, says in REFUSED.items():
        assert_one_line(kessai("sandbox", *arguments, "--port", served.port), says=says)


@pytest.mark.parametrize("command", [[], ["advance"], ["faults"], ["deliveries"], ["batches"], ["pay"], ["books"]])
def test_every_command_explains_itself(kessai: Terminal, command: list[str]) -> None:
    ran = kessai("sandbox", *command, "--help")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "--port" in ran.stdout

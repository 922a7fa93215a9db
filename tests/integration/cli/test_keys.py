"""`kessai keys`: what is configured beside what was used, without a broker and without Siglume."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.sdrp.signature import SigningSecret
from tests.acceptance.conftest import assert_one_line
from tests.conftest import WEBHOOK_SECRET
from tests.integration.cli.conftest import Given, Terminal
from tests.integration.ledger.books import TestBooks

OURS = SigningSecret.from_text(WEBHOOK_SECRET).fingerprint


async def use(books: TestBooks) -> None:
    now = datetime.now(UTC)
    await books.pool.executemany(
        """
        INSERT INTO kessai.tallies (endpoint, key_fingerprint, at, deliveries, kind, outcome, longest_wait)
        VALUES ($1, $2, $3, $4, 'standard_settled', 'applied', 0.1)
        """,
        [
            ("siglume", OURS, now - timedelta(hours=1), 7),
            ("siglume", "retired_last_", now - timedelta(days=9), 900),
            ("tea", "not_known_her", now - timedelta(days=9), 3),
        ],
    )


def test_each_key_is_listed_with_its_use(kessai: Terminal, given_books: Given) -> None:
    given_books(use)
    keys = {(key["endpoint"], key["fingerprint"]): key for key in kessai("keys", "list", "--json").array()}
    ours = keys["siglume", OURS]
    assert (ours["state"], ours["given_by"], ours["day"], ours["is_signing"]) == (
        *("live", "SIGLUME_WEBHOOK_SECRET"),
        7,
        None,
    )
    assert keys["siglume", "retired_last_"]["state"] == "removed"
    assert keys["tea", "not_known_her"]["state"] == "unknown"
    only = kessai("keys", "list", "--endpoint", "siglume", "--json").array()
    assert {key["endpoint"] for key in only} == {"siglume"}
    table = kessai("keys", "list").stdout
    assert OURS in table
    assert WEBHOOK_SECRET not in table


def test_without_a_secret_the_use_is_listed_all_the_same(kessai: Terminal, given_books: Given) -> None:
    given_books(use)
    without = Terminal(
        {"KESSAI_DATABASE_URL": kessai.environment["KESSAI_DATABASE_URL"]}, kessai._capture, kessai._patch
    )
    assert {key["state"] for key in without("keys", "list", "--json").array()} == {"unknown"}
    assert_one_line(without("keys", "check"), says="no webhook secret")


def test_a_siglume_that_cannot_be_asked_is_a_failed_check(kessai: Terminal) -> None:
    ran = kessai("keys", "check", "--json")
    assert ran.returncode == 1
    said = ran.object()
    assert (said["ok"], said["siglume"][0]["signs_with"]) == (False, [])
    assert "SIGLUME_MERCHANT_AUTH_TOKEN" in said["siglume"][0]["fault"]
    assert [key["fingerprint"] for key in said["keys"]] == [OURS]
    assert "SIGLUME_MERCHANT_AUTH_TOKEN" in kessai("keys", "check").stderr


def test_an_unknown_endpoint_is_wrong_usage(kessai: Terminal, tmp_path: Path) -> None:
    assert_one_line(kessai("keys", "list", "--endpoint", "tea"), code=2, says="no endpoint 'tea'")

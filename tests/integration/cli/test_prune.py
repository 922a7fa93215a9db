"""What somebody deletes at the terminal is what the workers of the same settings would delete."""

from datetime import UTC, datetime

from tests.given import incoming, new_order, payment
from tests.integration.cli.conftest import Given, Terminal
from tests.integration.ledger.books import TestBooks

OLD = datetime(2020, 1, 15, tzinfo=UTC)
MONTH = "webhook_archive_2020_01"


async def an_old_payment(books: TestBooks) -> None:
    await books.pool.execute("SELECT kessai.ensure_archive_month($1::date)", OLD.date())
    await books.register(new_order())
    await books.apply(incoming(payment(), received_at=OLD))


def test_raw_bytes_are_kept_unless_somebody_gives_a_number_of_days(kessai: Terminal, given_books: Given) -> None:
    given_books(an_old_payment)
    for _ in range(2):
        ran = kessai("prune", "--json")
        assert (ran.object()["months"], ran.object()["claims"]) == ([], 0)
        assert "kept for ever: set KESSAI_KEEP_RAW_DAYS or give --raw-days" in ran.stderr
    assert kessai("events", "verify", "evt-1").returncode == 0, "its bytes are here"


def test_the_settings_say_what_is_old_enough(kessai: Terminal, given_books: Given) -> None:
    given_books(an_old_payment)
    settings = {"KESSAI_KEEP_RAW_DAYS": "400"}
    foreseen = kessai("prune", "--dry-run", "--json", environment=settings)
    assert (foreseen.object()["months"], foreseen.object()["claims"], foreseen.stderr) == ([MONTH], 1, "")
    longer = {**settings, "KESSAI_KEEP_CLAIMS_DAYS": "36500"}
    assert kessai("prune", "--dry-run", "--json", environment=longer).object()["claims"] == 0
    assert kessai("prune", "--raw-days", "36500", "--json", environment=settings).object()["months"] == []
    assert MONTH in kessai("prune", environment=settings).stdout
    assert kessai("events", "list", "--json").array() == []

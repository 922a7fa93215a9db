"""`kessai reviews show` tells what the platform says, and `follow` does what that suggests."""

from tests.integration.cli.conftest import Given, Terminal
from tests.integration.console.test_evidence import ask_about

MERCHANT = {"SIGLUME_DIRECT_PAYMENT_MERCHANT": "tea_house"}


def test_a_suggestion_is_shown_and_taken_with_one_command(kessai: Terminal, given_books: Given) -> None:
    given_books(ask_about)
    shown = kessai("reviews", "show", "1")
    assert "the platform's answer of 2026-11-20 12:00:00Z" in shown.stdout
    assert "to do as suggested: kessai reviews follow 1 --version 2" in shown.stderr
    assert kessai("reviews", "show", "1", "--json").object()["evidence"]["platform"]["session"]["status"] == "paid"
    stale = kessai("reviews", "follow", "1", "--version", "1", environment=MERCHANT)
    assert (stale.returncode, "is at version 2, not 1" in stale.stderr) == (1, True)
    elsewhere = kessai("reviews", "follow", "1")
    assert (elsewhere.returncode, "set SIGLUME_DIRECT_PAYMENT_MERCHANT" in elsewhere.stderr) == (1, True)
    assert "send the money back" not in elsewhere.stderr
    done = kessai("reviews", "follow", "1", "--version", "2", environment=MERCHANT)
    assert done.stdout == "review 1 is closed: accept-session, order order-1 is paid\n"
    assert kessai("reviews", "show", "1", "--json").object()["why"] == "it is settled and fits"
    again = kessai("reviews", "follow", "1", environment=MERCHANT)
    assert (again.returncode, "was closed by" in again.stderr) == (1, True)


def test_whoever_follows_may_say_why_in_their_own_words(kessai: Terminal, given_books: Given) -> None:
    given_books(ask_about)
    silent = kessai("reviews", "follow", "1", "--why", " ", environment=MERCHANT)
    assert (silent.returncode, "say why" in silent.stderr) == (1, True)
    kessai("reviews", "follow", "1", "--why", "the buyer showed the receipt", environment=MERCHANT)
    assert kessai("reviews", "show", "1", "--json").object()["why"] == "the buyer showed the receipt"

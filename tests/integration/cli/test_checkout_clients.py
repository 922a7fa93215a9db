"""`kessai checkout-clients`: a system's token is shown once, listed without its secret, revoked for good."""

from shared.ledger import checkout_clients
from shared.ledger.bearer_tokens import TOKEN
from shared.ledger.checkout_clients import Client
from shared.ledger.database import connected
from tests.integration.cli.conftest import Given, Terminal
from tests.integration.ledger.books import TestBooks


def test_a_token_is_shown_once_and_works_until_it_is_revoked(kessai: Terminal, given_books: Given) -> None:
    added = kessai("checkout-clients", "add", "backend", "--endpoint", "tea", "--days", "30")
    assert "no endpoint 'tea' is configured here" in added.stderr
    token = added.stdout.strip()
    assert TOKEN.fullmatch(token)
    assert "not shown again" in added.stderr

    async def holds(books: TestBooks) -> None:
        async with connected(books.pool) as connection:
            assert await checkout_clients.client_of(connection, token) == Client("backend", "tea")

    given_books(holds)
    listed = kessai("checkout-clients", "list", "--json")
    (row,) = listed.array()
    assert (row["name"], row["endpoint"], row["is_live"], row["used_at"] is not None) == ("backend", "tea", True, True)
    assert token not in listed.stdout + kessai("checkout-clients", "list").stdout

    twice = kessai("checkout-clients", "add", "backend")
    assert (twice.returncode, twice.stderr.count("\n"), "revoke that token first" in twice.stderr) == (1, 1, True)
    assert kessai("checkout-clients", "revoke", "backend").stdout == "the token of backend is revoked\n"
    gone = kessai("checkout-clients", "revoke", "backend")
    assert (gone.returncode, "no client 'backend'" in gone.stderr) == (1, True)
    assert kessai("checkout-clients", "list", "--json").array() == []
    wrong = kessai("checkout-clients", "add", "backend", "--endpoint", "Tea Shop")
    assert (wrong.returncode, "no name of an endpoint" in wrong.stderr) == (2, True)

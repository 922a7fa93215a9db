"""`kessai tokens`: shown once, listed without their secret, revoked for good."""

from datetime import UTC, datetime, timedelta

from shared.ledger import api_tokens, users
from shared.ledger.bearer_tokens import TOKEN
from shared.ledger.database import connected
from shared.ledger.roles import Role
from tests.integration.cli.conftest import Given, Terminal
from tests.integration.ledger.books import TestBooks


async def otto(books: TestBooks) -> None:
    async with connected(books.pool) as connection:
        await users.add(connection, "otto", Role.OPERATOR, "hash", actor="test")


def test_a_token_is_shown_once_and_works_until_it_is_revoked(kessai: Terminal, given_books: Given) -> None:
    given_books(otto)
    added = kessai("tokens", "add", "otto", "--label", "ci", "--days", "30")
    token = added.stdout.strip()
    assert TOKEN.fullmatch(token)
    assert "not shown again" in added.stderr

    async def holds(books: TestBooks) -> None:
        async with connected(books.pool) as connection:
            assert await api_tokens.holder_of(connection, token) == api_tokens.Holder("otto", Role.OPERATOR, "ci")

    given_books(holds)
    listed = kessai("tokens", "list", "--json")
    (row,) = listed.array()
    assert (row["user_name"], row["label"], row["role"], row["is_live"]) == ("otto", "ci", "operator", True)
    left = datetime.fromisoformat(row["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29, hours=23) < left < timedelta(days=30)
    assert token not in listed.stdout + kessai("tokens", "list").stdout

    twice = kessai("tokens", "add", "otto", "--label", "ci")
    assert (twice.returncode, twice.stderr.count("\n"), "revoke that one first" in twice.stderr) == (1, 1, True)
    assert kessai("tokens", "revoke", "otto", "ci").stdout == "token ci of otto is revoked\n"
    gone = kessai("tokens", "revoke", "otto", "ci")
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)
    assert kessai("tokens", "list", "--json").array() == []

"""An admin's client says who may come in and with which tokens; nobody's client makes its own role larger."""

from tests.integration.api.conftest import Connect
from tests.integration.console.furnished import PASSWORD
from tests.integration.ledger.books import TestBooks

NEW = "another long password"


async def test_somebody_is_let_in_with_a_role_and_a_password_that_nobody_is_told(
    books: TestBooks, connect: Connect
) -> None:
    ada = await connect("ada")
    browser = ada._browser
    new = await ada.post("/users", name="eve", role="operator", password=PASSWORD)
    assert (new.status, new.headers["Location"]) == (201, "/api/v1/users/eve")
    assert new.json == (await ada.get("/users/eve")).json
    assert (new.json["role"], new.json["disabled_at"]) == ("operator", None)
    assert [each["name"] for each in (await ada.get("/users")).items] == ["ada", "eve", "otto", "vera"]
    assert (await browser.log_in("eve")).status == 303
    assert (await ada.post("/users", name="eve", password=PASSWORD)).problem == "conflict"
    for wrong in ({"name": "<b>"}, {"password": "short"}, {"role": "root"}, {"password": None}):
        refused = await ada.post("/users", **({"name": "eva", "password": PASSWORD} | wrong))
        assert (refused.problem, b"short" in refused.raw) == ("invalid", False), wrong

    assert (await ada.post("/users/eve/password", password=NEW)).json["name"] == "eve"
    assert (await browser.get("/")).status == 303, "she is logged out"
    assert ((await browser.log_in("eve")).status, (await browser.log_in("eve", NEW)).status) == (401, 303)
    written = await books.rows("SELECT audit::text AS line FROM kessai.audit")
    assert not any(PASSWORD in row["line"] or NEW in row["line"] for row in written)
    assert ("user:ada", "user.added", "user:eve") in await books.acts()


async def test_a_role_counts_and_a_disabled_person_and_their_tokens_are_out(connect: Connect) -> None:
    ada, vera = await connect("ada"), await connect("vera")
    assert (await ada.post("/users/vera/role", role="operator")).json["role"] == "operator"
    assert (await vera.post("/orders/none/cancel")).problem == "not-found"
    assert (await ada.post("/users/vera/disable")).json["disabled_at"] is not None
    assert (await vera.get("/orders")).problem == "unauthenticated"
    assert (await ada.post("/users/vera/enable")).json["disabled_at"] is None
    assert (await vera.get("/orders")).status == 200
    assert (await ada.post("/users/nobody/enable")).problem == "not-found"


async def test_the_last_admin_cannot_shut_everybody_out(connect: Connect) -> None:
    ada = await connect("ada")
    for told in (await ada.post("/users/ada/role", role="viewer"), await ada.post("/users/ada/disable")):
        assert (told.problem, "another admin must" in told.json["detail"]) == ("conflict", True)
    assert (await ada.get("/users/ada")).json["role"] == "admin"


async def test_a_token_is_given_out_works_and_is_revoked(books: TestBooks, connect: Connect) -> None:
    ada = await connect("ada")
    given = await ada.post("/tokens", user_name="otto", label="ci", days=30)
    client = await connect()
    client.token = given.json["token"]
    assert (await client.get("/orders")).status == 200
    assert (await ada.post("/tokens", user_name="otto", label="ci")).problem == "conflict"
    assert (await ada.post("/tokens", user_name="nobody", label="ci")).problem == "not-found"
    assert (await ada.post("/tokens", user_name="otto", label="c/i")).problem == "invalid"
    (known,) = [each for each in (await ada.get("/tokens")).items if each["label"] == "ci"]
    assert (known["user_name"], known["role"], known["is_live"]) == ("otto", "operator", True)
    assert known["expires_at"] is not None
    assert given.json["token"] not in str(known)
    assert (await ada.post("/tokens/otto/ci/revoke")).json == {"user_name": "otto", "label": "ci"}
    assert (await ada.post("/tokens/otto/ci/revoke")).problem == "not-found"
    assert (await client.get("/orders")).problem == "unauthenticated"
    assert [act for act in await books.acts() if "otto/ci" in act[2]] == [
        ("user:ada", "token.added", "token:otto/ci"),
        ("user:ada", "token.revoked", "token:otto/ci"),
    ]

"""`kessai reconcile run` as a person runs it: a summary, an exit code, one line for what is wrong, resumable always."""

import asyncio
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from pathlib import Path

import orjson
import pytest

from deploy.local.ports import LOOPBACK, free_ports
from shared.ledger.database import connected
from shared.ledger.revenue import syncs
from tests.acceptance.conftest import assert_one_line
from tests.given import ENDPOINT, new_order
from tests.integration.ledger.books import TestBooks
from tests.integration.platform_api.platform import refusal, slow
from tests.integration.reconcile.account import TOKEN, Account
from tests.integration.workers.bench import until
from tests.programs import KESSAI, Ran, clean_environment


class Person:
    """Types commands with these settings."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings

    async def starts(self, *arguments: str, **changed: str) -> Process:
        environment = clean_environment() | dict(self._settings) | changed
        return await asyncio.create_subprocess_exec(
            KESSAI, "reconcile", "run", *arguments, env=environment, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )

    async def runs(self, *arguments: str, **changed: str) -> Ran:
        return await ended(await self.starts(*arguments, **changed))


async def ended(process: Process) -> Ran:
    out, err = await asyncio.wait_for(process.communicate(), 40.0)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


@pytest.fixture
def person(database_url: str, there: Account) -> Person:
    return Person(
        {
            "KESSAI_DATABASE_URL": database_url,
            "SIGLUME_API_BASE": there.base_url,
            "SIGLUME_MERCHANT_AUTH_TOKEN": TOKEN,
        }
    )


async def test_a_run_is_summed_up_for_people_and_for_scripts(person: Person, books: TestBooks, there: Account) -> None:
    await books.register(new_order("order-1", 200))
    there.bought(4)
    there.closed(1, "settled")
    shown = await person.runs()
    assert shown.returncode == 0, shown.stderr
    for words in ("4 read, 4 new, 0 changed", "1 read, 1 new", "none changed", "2, of which 2 new; 0 closed"):
        assert words in shown.stdout
    told = (await person.runs("--json", "--whole")).object()
    (result,) = told["endpoints"]
    assert result["usage"] == {"pages": 2, "read": 4, "new": 0, "changed": 0}
    assert result["differences"] == {
        "found": 3,
        "opened": 1,
        "changed": 0,
        "closed": 0,
    }  # its rows, now that all are read
    assert (result["unexplained"], told["failed"]) == ([], {})


async def test_what_is_unexplained_is_an_exit_code(person: Person, there: Account) -> None:
    there.totals = {"settled_provider_receivable_minor": "7"}
    ran = await person.runs()
    assert ran.returncode == 1
    assert "-7 JPYC (settled)" in ran.stdout


async def test_buyers_near_their_threshold_are_told_by_the_share_that_was_set(person: Person, there: Account) -> None:
    there.closed(1, "ready", provider_gross_amount_minor="6000")
    assert "exposed buyers  none" in (await person.runs()).stdout
    warned = await person.runs(KESSAI_EXPOSURE_WARNING="0.5")
    assert "exposed buyers  1 warning" in warned.stdout
    assert "kessai revenue exposure" in warned.stderr
    (result,) = (await person.runs("--json", KESSAI_EXPOSURE_WARNING="0.5")).object()["endpoints"]
    assert result["exposed_buyers"] == {"warning": 1, "paused": 0}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_a_run_that_is_stopped_goes_on_where_it_was(
    number: signal.Signals, person: Person, books: TestBooks, there: Account
) -> None:
    there.bought(9)
    there.bent["usage-events?6"] = slow(3.0, refusal(503))
    process = await person.starts()

    async def has_six() -> bool:
        return bool(await books.value("SELECT count(*) FROM kessai.statement_usage") == 6)

    await until(has_six)
    process.send_signal(number)
    ran = await ended(process)
    assert ran.returncode == (130 if number is signal.SIGINT else -number)
    if number is signal.SIGINT:
        assert "continues from there" in ran.stderr
    assert "Traceback" not in ran.stderr
    there.bent.clear()
    there.asked.clear()
    assert (await person.runs()).returncode == 0
    assert there.requests("usage-events") == ["usage-events?6"]
    assert await books.value("SELECT count(*) FROM kessai.statement_usage") == 9


async def test_a_platform_that_is_away_is_one_line(person: Person, there: Account) -> None:
    there.bent["summary"] = refusal(401, message=f"no such token {TOKEN}")
    ran = await person.runs()
    assert_one_line(ran, says="siglume: Siglume refused")
    assert TOKEN not in ran.stderr


async def test_a_database_that_is_away_is_one_line(person: Person) -> None:
    (nobody,) = free_ports(1)
    ran = await person.runs(KESSAI_DATABASE_URL=f"postgresql://kessai:sesame@{LOOPBACK}:{nobody}/kessai")
    assert_one_line(ran, says="Postgres")


@pytest.mark.parametrize(
    ("arguments", "changed", "says"),
    [
        ([], {"SIGLUME_MERCHANT_AUTH_TOKEN": ""}, "SIGLUME_MERCHANT_AUTH_TOKEN"),
        (["--endpoint", "elsewhere"], {}, "there is no endpoint 'elsewhere': name one of siglume, other"),
        (["--endpoint", "other"], {}, "endpoint 'other' has no Siglume token"),
    ],
)
async def test_without_a_token_nothing_is_asked(
    person: Person, there: Account, arguments: list[str], changed: dict[str, str], says: str, tmp_path: Path
) -> None:
    config = with_another(tmp_path, token=False)
    assert_one_line(await person.runs(*arguments, KESSAI_CONFIG=config, **changed), says=says)
    assert there.asked == []


async def test_what_is_still_to_come_cannot_be_compared(person: Person, there: Account) -> None:
    assert_one_line(
        await person.runs("--since", "2999-01-01"), code=2, says="--since: 2999-01-01 00:00 is in the future"
    )
    assert there.asked == []


def with_another(folder: Path, *, token: bool = True) -> str:
    """KESSAI_CONFIG with a second endpoint."""
    (folder / "other").write_text("another_token")
    config = folder / "endpoints.toml"
    own = 'provider_auth_token_file = "other"\n' if token else ""
    config.write_text(f'[endpoints.other]\nsecrets = ["whsec_other"]\n{own}')
    return str(config)


async def test_every_endpoint_with_a_token_of_its_own_is_read(person: Person, there: Account, tmp_path: Path) -> None:
    told = await person.runs("--json", KESSAI_CONFIG=with_another(tmp_path))
    assert {each["endpoint"] for each in told.object()["endpoints"]} == {"siglume", "other"}


async def test_an_endpoint_that_is_busy_hides_nothing_of_the_others(
    person: Person, books: TestBooks, there: Account, tmp_path: Path
) -> None:
    there.bought(2)
    config = with_another(tmp_path)
    async with connected(books.pool) as busy:
        assert await syncs.take_turn(busy, ENDPOINT)
        told = await person.runs("--json", KESSAI_CONFIG=config)
        shown = await person.runs(KESSAI_CONFIG=config)
    assert (told.returncode, shown.returncode) == (1, 1)
    found = orjson.loads(told.stdout)
    (result,) = found["endpoints"]
    assert (result["endpoint"], result["usage"]["new"]) == ("other", 2)
    assert "being read already" in found["failed"][ENDPOINT]
    assert "endpoint        other" in shown.stdout
    assert ENDPOINT not in shown.stdout
    assert "being read already" in shown.stderr


async def test_a_run_that_broke_off_tells_what_it_did(person: Person, there: Account) -> None:
    there.bought(7)
    there.bent["usage-events?3"] = refusal(401)
    told = orjson.loads((await person.runs("--json")).stdout)
    (result,) = told["endpoints"]
    assert (result["usage"]["new"], result["finished_at"], list(told["failed"])) == (3, None, [ENDPOINT])
    there.bent = {"usage-events?6": refusal(401)}
    shown = await person.runs()
    assert shown.returncode == 1
    assert "3 read, 3 new" in shown.stdout
    assert "not compared" in shown.stdout
    assert "401" in shown.stderr
    there.bent.clear()
    assert "not compared" not in (await person.runs()).stdout

"""`kessai reconcile sweep`, as a person runs it."""

import asyncio
from collections.abc import Mapping

from deploy.cli.output import WIDE
from deploy.sandbox.core.faults import Fault
from tests.integration.sweep.stall import MERCHANT, TOKEN, Stall
from tests.programs import Kessai, Ran
from workers.platform_sessions import PATIENCE


async def run(kessai: Kessai, stall: Stall, *arguments: str, **environment: str) -> Ran:
    """At a terminal of the stall's merchant; a second after the sale it is old enough."""
    await asyncio.sleep(1.1)
    given: Mapping[str, str] = {
        "SIGLUME_API_BASE": stall.sandbox.base_url,
        "SIGLUME_MERCHANT_AUTH_TOKEN": TOKEN,
        "SIGLUME_DIRECT_PAYMENT_MERCHANT": MERCHANT,
    }
    return await asyncio.to_thread(
        kessai, "reconcile", "sweep", "--older-than", "1s", *arguments, environment={**given, **environment}
    )


async def test_it_tells_what_it_found(kessai: Kessai, stall: Stall) -> None:
    session_id = await stall.sell()
    await stall.offer("order-2")
    foreseen = await run(kessai, stall, "--dry-run", "--json")
    assert [(look["order_id"], look["found"]) for look in foreseen.array()] == [
        ("order-1", "missed webhook"),
        ("order-2", "nothing yet"),
    ]
    assert await stall.reviews() == []
    done = await run(kessai, stall)
    assert (foreseen.returncode, done.returncode) == (1, 1), done.stderr
    line = next(line for line in done.stdout.splitlines() if "order-1" in line)
    assert line.split()[:4] == ["order-1", "1", session_id, "paid"]
    assert len(line) <= WIDE
    assert "2 sessions: 1 missed webhook, 1 nothing yet" in done.stderr
    assert await stall.reviews() == [("order-1", "missed_webhook", "open")]
    show = await asyncio.to_thread(kessai, "reviews", "show", "1")
    assert "the session says" in show.stdout
    assert "closes by itself when its webhook arrives" in show.stderr


async def code(kessai: Kessai, stall: Stall, *arguments: str, **environment: str) -> int:
    """Of a run whose turn it is."""
    await stall.books.rows("UPDATE kessai.sweeps SET next_turn_at = '-infinity'")
    return (await run(kessai, stall, *arguments, **environment)).returncode


async def test_a_webhook_that_is_missing_still_is_an_exit_code(kessai: Kessai, stall: Stall) -> None:
    """For whoever runs it by a timer; once, since a review waits then."""
    await stall.offer()
    assert await code(kessai, stall) == 0
    await stall.sell("order-2")
    assert await code(kessai, stall, "--dry-run", KESSAI_SWEEP_POLICY="apply") == 1
    assert await code(kessai, stall) == 1
    assert await code(kessai, stall) == 0
    told = await asyncio.to_thread(kessai, "reconcile", "sweep", "--help")
    assert "Exit code 1" in told.stdout


async def test_by_policy_it_pays_and_by_policy_alone(kessai: Kessai, stall: Stall) -> None:
    await stall.sell()
    done = await run(kessai, stall, "--json", KESSAI_SWEEP_POLICY="apply")
    assert done.returncode == 0
    assert [look["found"] for look in done.array()] == ["paid"]
    assert (await stall.books.order()).state == "paid"


async def test_it_tells_what_keeps_every_payment_from_its_order(kessai: Kessai, stall: Stall) -> None:
    await stall.sell()
    done = await run(kessai, stall, SIGLUME_DIRECT_PAYMENT_MERCHANT="")
    assert "no merchant key for endpoint 'siglume'" in done.stderr


async def test_it_goes_on_past_a_session_that_answers_badly(kessai: Kessai, stall: Stall) -> None:
    for number in (1, 2, 3):
        await stall.sell(f"order-{number}")
    for arguments in (["--dry-run"], []):
        stall.sandbox.switch(Fault.SERVER_ERROR, times=PATIENCE.attempts)
        told = {look["order_id"]: look for look in (await run(kessai, stall, "--json", *arguments)).array()}
        assert (told["order-2"]["found"], told["order-3"]["found"]) == ("missed webhook", "missed webhook")
        assert told["order-1"]["result"] == "unsaid"
    await stall.books.rows("UPDATE kessai.sweeps SET next_turn_at = '-infinity'")  # no need to wait for it
    again = await run(kessai, stall, "--json")
    assert [(look["order_id"], look["found"]) for look in again.array()] == [("order-1", "missed webhook")]


async def test_what_went_wrong_is_one_line(kessai: Kessai, stall: Stall) -> None:
    await stall.sell()
    stall.sandbox.switch(Fault.RATE_LIMIT, seconds=60)
    away = await run(kessai, stall)
    assert (away.returncode, away.stderr.count("\n")) == (1, 1)
    assert "429" in away.stderr
    stall.sandbox.faults.clear()
    for arguments, environment, says in [
        (["--endpoint", "nobody"], {}, "no endpoint 'nobody'"),
        ([], {"SIGLUME_DIRECT_PAYMENT_MERCHANT": "", "KESSAI_SWEEP_POLICY": "apply"}, "no merchant key"),
        ([], {"SIGLUME_MERCHANT_AUTH_TOKEN": ""}, "set SIGLUME_MERCHANT_AUTH_TOKEN"),
        ([], {"SIGLUME_MERCHANT_AUTH_TOKEN": "wrong"}, "403"),
        (["--older-than", "soon"], {}, "is no span of time"),
    ]:
        await stall.books.rows("UPDATE kessai.sweeps SET next_turn_at = '-infinity'")
        failed = await run(kessai, stall, *arguments, **environment)
        assert failed.returncode != 0
        assert says in failed.stderr
        assert "Traceback" not in failed.stderr

"""A whole Kessai behind a simulated platform is ready, for the official tool, too; and not where a part is off."""

from deploy.sandbox.core.faults import Fault
from deploy.sandbox.core.platform import Shop
from deploy.sandbox.sandbox import Options, Sandbox
from deploy.sandbox.serve import environment
from tests.acceptance.conftest import Pipeline
from tests.conftest import WEBHOOK_SECRET
from tests.integration.readiness.asking import Told, kessai, official


def options(pipeline: Pipeline) -> Options:
    return Options(Shop(webhook_url=pipeline.url, webhook_secret=WEBHOOK_SECRET), runs=True)


def statuses(told: Told) -> dict[str, str]:
    return {each["name"]: each["status"] for each in told.checks}


async def test_a_whole_kessai_is_ready(pipeline: Pipeline) -> None:
    async with Sandbox(options(pipeline)) as sandbox:
        settings = dict(environment(sandbox)) | dict(pipeline.kessai.environment)
        theirs = await official(settings)
        assert (theirs.ok, theirs.code, theirs.failed) == (True, 0, {})
        ours = await kessai(settings)
    assert (ours.ok, ours.code) == (True, 0)
    assert statuses(ours) == dict.fromkeys(statuses(ours), "pass")
    assert statuses(ours).keys() >= {
        *("webhook_delivery_probe_passed", "kessai_probe_in_books", "kessai_clock_against_siglume"),
        *("kessai_endpoint_siglume", "kessai_database", "kessai_clock", "kessai_migrations", "kessai_broker"),
        *("kessai_topology", "kessai_queue_confirmations", "kessai_open_work"),
    }
    assert pipeline.listed("events", "list", outcome="ignored")
    assert WEBHOOK_SECRET not in ours.text


async def test_a_wrong_clock_of_siglume_is_noticed(pipeline: Pipeline) -> None:
    async with Sandbox(options(pipeline)) as sandbox:
        sandbox.switch(Fault.STALE, seconds=200)
        settings = dict(environment(sandbox)) | dict(pipeline.kessai.environment)
        told = await kessai(settings)
    assert {name for name, status in statuses(told).items() if status == "fail"} == {"kessai_clock_against_siglume"}


async def test_what_is_not_tried_is_not_ready(pipeline: Pipeline) -> None:
    async with Sandbox(options(pipeline)) as sandbox:
        settings = dict(environment(sandbox)) | dict(pipeline.kessai.environment)
        told = await kessai(settings, "--no-probe")
        assert (told.ok, told.code, set(told.failed)) == (False, 1, {"hosted_checkout_probe"})
        assert (await kessai(settings, "--no-api")).ok
    assert sandbox.platform.checkout.every() == []

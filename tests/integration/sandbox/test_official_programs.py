"""The official SDK's own programs against a sandbox: its readiness command, and its FastAPI template."""

import asyncio
import importlib
import json
import shutil
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI

from deploy.sandbox.core.faults import Fault
from deploy.sandbox.sandbox import Sandbox
from deploy.sandbox.serve import environment
from shared.observe.listening import bind, port_of
from tests.integration.sandbox.shop import Receiver, options
from tests.programs import clean_environment

PACKAGE = "siglume_template"


async def verify(sandbox: Sandbox, command: str = "verify") -> tuple[int, dict[str, str]]:
    """The exit code, and the message of each check that failed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "siglume_direct_request_payment._cli", command, "--json"),
        env=clean_environment() | dict(environment(sandbox)),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    checks = json.loads(output)["checks"]
    return process.returncode or 0, {each["name"]: each["message"] for each in checks if each["status"] == "fail"}


async def test_the_official_check_is_content(sandbox: Sandbox) -> None:
    assert await verify(sandbox) == (0, {})


async def test_the_official_check_sees_what_is_wrong(sandbox: Sandbox, shop: Receiver) -> None:
    shop.answers.append(500)
    code, failed = await verify(sandbox)
    assert (code, set(failed)) == (1, {"webhook_delivery_probe_passed"})
    sandbox.switch(Fault.BILLING_INACTIVE)
    code, failed = await verify(sandbox, "preflight")
    assert (code, set(failed)) == (1, {"billing_status_active"})


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The template's files as a package of this test's own."""
    source = resources.files("siglume_direct_request_payment") / "templates" / "fastapi"
    with resources.as_file(source) as folder:
        shutil.copytree(folder, tmp_path / PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


class TemplateShop:
    """The template's routes and its example store, served by uvicorn in a thread."""

    def __init__(self) -> None:
        self._bound = bind("127.0.0.1", 0)
        self.root_url = f"http://127.0.0.1:{port_of(self._bound)}"
        self._server: uvicorn.Server | None = None

    @property
    def webhook_url(self) -> str:
        return f"{self.root_url}/payments/webhooks/siglume"

    @property
    def orders(self) -> dict[str, dict[str, Any]]:
        orders: dict[str, dict[str, Any]] = self._module("siglume_order_store_example")._orders
        return orders

    async def serve(self) -> None:
        store = self._module("siglume_order_store_example").ExampleSiglumeOrderStore()
        app = FastAPI()
        app.include_router(
            self._module("siglume_sdrp_routes").create_siglume_sdrp_router(store, allow_metered_payments=True),
            prefix="/payments",
        )
        self._server = server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        self._thread = threading.Thread(target=server.run, args=([self._bound],))
        self._thread.start()
        while not server.started:
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
            await asyncio.to_thread(self._thread.join)
        self._bound.close()

    def _module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{PACKAGE}.{name}")


@pytest_asyncio.fixture
async def template_shop(template: None) -> AsyncIterator[TemplateShop]:
    shop = TemplateShop()
    yield shop
    await shop.close()


@pytest.mark.parametrize(("amount", "status"), [(1200, "paid"), (200, "fulfilled_unsettled")])
async def test_the_fastapi_template_from_checkout_to_paid(
    template_shop: TemplateShop, monkeypatch: pytest.MonkeyPatch, amount: int, status: str
) -> None:
    async with Sandbox(options(template_shop.webhook_url)) as sandbox, aiohttp.ClientSession() as browser:
        for name, value in environment(sandbox).items():
            monkeypatch.setenv(name, value)
        await template_shop.serve()
        template_shop.orders["order_123"]["amount_minor"] = amount
        start = f"{template_shop.root_url}/payments/checkout/siglume/start"
        async with browser.post(start, json={"order_id": "order_123"}) as answer:
            begun = await answer.json()
        async with browser.post(f"{begun['checkout_url']}/confirm", allow_redirects=False) as answer:
            assert answer.headers["Location"].startswith("http://localhost:3000/checkout/siglume/success")
        await sandbox.idle()
        (payment,) = sandbox.books().payments
    order = template_shop.orders["order_123"]
    assert order["status"] == status
    assert order["requirement_id"] == payment.requirement_id
    assert payment.order_id == "order_123"

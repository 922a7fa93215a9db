"""A secret is rotated at Siglume under running webhooks: both sign, both verify, hits move, the old one is retired."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.local.ports import LOOPBACK, free_ports
from deploy.sandbox.core.platform import Shop
from deploy.sandbox.sandbox import Options, Sandbox
from deploy.sandbox.serve import environment
from shared.sdrp.signature import SigningSecret
from tests.integration.sandbox.shop import sell
from tests.programs import Kessai, Ran, Role

OLD = "whsec_of_last_year_0001"


class Door:
    """An ingress whose settings are a file, beside workers, and what a person types there."""

    def __init__(self, kessai: Kessai, folder: Path, port: int) -> None:
        self.kessai = kessai
        self.webhook_url = f"http://{LOOPBACK}:{port}/webhooks/siglume"
        self.port = port
        self.config = folder / "kessai.toml"
        self._folder = folder
        self.settings = {"KESSAI_CONFIG": str(self.config)}
        self.ingress: Role
        self._renewed = 0

    def keeps(self, **windows: str) -> None:
        """`name="not_after = ..."`, or an empty text."""
        tables = [f'[[endpoints.siglume.keys]]\nsecret_file = "{name}"\n{text}\n' for name, text in windows.items()]
        self.config.write_text("".join(tables))

    def holds(self, name: str, secret: str) -> str:
        """Put a secret into its file; its fingerprint."""
        (self._folder / name).write_text(f"{secret}\n")
        return SigningSecret.from_text(secret).fingerprint

    @contextmanager
    def running(self) -> Iterator[None]:
        assert self("topology", "apply").returncode == 0
        with (
            self.kessai.role("ingress", "--port", str(self.port), environment=self.settings) as self.ingress,
            self.kessai.role("worker", "all", environment=self.settings),
        ):
            yield

    async def renew(self) -> None:
        self.ingress.process.send_signal(signal.SIGHUP)
        self._renewed += 1
        async with asyncio.timeout(20):
            while self.ingress.output().count("ingress.keys_reloaded") < self._renewed:
                await asyncio.sleep(0.05)

    def __call__(self, *arguments: str) -> Ran:
        return self.kessai(*arguments, environment=self.settings)

    async def checked(self) -> tuple[int, dict[str, Any], dict[str, dict[str, Any]]]:
        """What `kessai keys check` says: its exit code, the whole, and each key."""
        ran = await asyncio.to_thread(self, "keys", "check", "--json")
        assert "whsec_" not in ran.stdout + ran.stderr
        said = ran.object()
        return ran.returncode, said, {key["fingerprint"]: key for key in said["keys"]}

    async def hits(self) -> dict[str, int]:
        ran = await asyncio.to_thread(self, "keys", "list", "--json")
        return {key["fingerprint"]: key["day"] for key in ran.array()}

    async def counted(self, wanted: dict[str, int]) -> None:
        """Return once the books have counted just so many for each fingerprint."""
        async with asyncio.timeout(20):
            while (await self.hits()) != wanted:
                await asyncio.sleep(0.2)

    async def shift_use(self, fingerprint: str, *, by: timedelta) -> None:
        """As if it had vouched that much earlier."""
        connection = await asyncpg.connect(self.kessai.environment["KESSAI_DATABASE_URL"])
        try:
            await connection.execute(
                "UPDATE kessai.tallies SET at = at - $1::interval WHERE key_fingerprint = $2", by, fingerprint
            )
        finally:
            await connection.close()


_orders = count(1)


async def sold(sandbox: Sandbox) -> int:
    """A payment is made and its webhooks are answered: how many those were."""
    before = len(list(sandbox.platform.webhooks.log()))
    await sell(sandbox, f"order-{next(_orders)}")
    return len(list(sandbox.platform.webhooks.log())) - before


@pytest.fixture
def door(kessai: Kessai, tmp_path: Path) -> Door:
    (port,) = free_ports(1)
    environ = {name: value for name, value in kessai.environment.items() if name != "SIGLUME_WEBHOOK_SECRET"}
    return Door(Kessai(environ, tmp_path), tmp_path, port)


async def test_a_rotation_from_the_first_thought_to_the_last(door: Door) -> None:
    shop = Shop(webhook_url=door.webhook_url, webhook_secret=OLD)
    async with Sandbox(Options(shop, start=datetime.now(UTC), runs=True)) as sandbox:
        own = {"SIGLUME_WEBHOOK_SECRET", "SIGLUME_DIRECT_PAYMENT_CHALLENGE_SECRET"}
        door.settings |= {name: value for name, value in environment(sandbox).items() if name not in own}
        old = door.holds("old", OLD)
        door.keeps(old="")
        with door.running():
            # One secret: Siglume signs with it, and it stays.
            first = await sold(sandbox)
            await door.counted({old: first})
            code, _, keys = await door.checked()
            assert (code, keys[old]["is_signing"], keys[old]["is_retirable"]) == (0, True, False)

            # Rotated at Siglume: both sign, and the old one alone still vouches. The check says what is missing.
            subscription = sandbox.platform.webhooks.rotate(sandbox.platform.webhooks.every()[0])
            second = await sold(sandbox)
            await door.counted({old: first + second})
            code, said, _ = await door.checked()
            assert (code, said["ok"], said["siglume"][0]["unknown"]) == (1, False, [subscription.id])

            # The new one is added, with an end for the old one: hits move at once, and nothing is refused.
            new = door.holds("new", subscription.secrets[0].text)
            door.keeps(new="", old=f"not_after = {(datetime.now(UTC) + timedelta(days=2)).isoformat()}")
            await door.renew()
            code, _, keys = await door.checked()
            assert (code, keys[new]["is_signing"], keys[old]["is_signing"]) == (0, True, False)
            assert not keys[old]["is_retirable"]
            third = await sold(sandbox)
            await door.counted({old: first + second, new: third})

            # The overlap is over: the new one signs alone. The old one may go when it was not needed for a day.
            await sandbox.advance(timedelta(hours=25))
            fourth = await sold(sandbox)
            await door.counted({old: first + second, new: third + fourth})
            _, _, keys = await door.checked()
            assert "needed within 24 h" in keys[old]["told"]
            await door.shift_use(old, by=timedelta(hours=25))
            _, _, keys = await door.checked()
            assert (keys[old]["is_retirable"], keys[new]["is_retirable"]) == (True, False)

            # Retired: what it signs is refused, what Siglume signs is not.
            door.keeps(new="")
            await door.renew()
            refused = await asyncio.to_thread(door, "send", "--url", door.webhook_url, "--secret", OLD)
            assert "401" in refused.stdout + refused.stderr
            await sold(sandbox)
            code, _, keys = await door.checked()
            assert (code, keys[old]["state"], keys[new]["state"]) == (0, "removed", "live")
            assert OLD not in door.ingress.output()
        assert {each.response_status for each in sandbox.platform.webhooks.log()} == {204}

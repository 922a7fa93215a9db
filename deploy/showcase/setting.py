"""Where does the demo take place? Servers, a folder, an environment for its programs, and a way to leave it running."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from deploy.cli.local import WEBHOOK_SECRET
from deploy.local.stack import SERVICES, URL_NAMES, Stack
from deploy.local.temporary import temporary_stack
from shared.settings import Settings

WEB, KIOSK = "siglume", "kiosk"
"""The two endpoints: a shop that leaves metered payments to people, and one that takes them."""
MERCHANTS = {WEB: "demo_web", KIOSK: "demo_kiosk"}
SECRETS = {WEB: WEBHOOK_SECRET, KIOSK: f"{WEBHOOK_SECRET}_kiosk"}


@dataclass(frozen=True, slots=True)
class Setting:
    folder: Path
    """Of logs and files of orders."""
    database_url: str = field(repr=False)
    amqp_url: str = field(repr=False)
    private: tuple[str, ...]
    """The servers that are the demo's own."""

    def environment(self) -> dict[str, str]:
        """What the demo's programs see: none of the settings of the person who runs it."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("KESSAI_", "SIGLUME_"))}
        return ours | {
            "KESSAI_DATABASE_URL": self.database_url,
            "KESSAI_AMQP_URL": self.amqp_url,
            "KESSAI_CONFIG": str(self._config()),
            "SIGLUME_WEBHOOK_SECRET": SECRETS[WEB],
            "SIGLUME_DIRECT_PAYMENT_MERCHANT": MERCHANTS[WEB],
        }

    def _config(self) -> Path:
        path = self.folder / "endpoints.toml"
        path.write_text(
            f'[endpoints.{KIOSK}]\nsecrets = ["{SECRETS[KIOSK]}"]\nmerchant = "{MERCHANTS[KIOSK]}"\n'
            "allow_metered_payments = true\n",
            encoding="utf-8",
        )
        path.chmod(0o600)
        return path


@contextmanager
def passing() -> Iterator[Setting]:
    """Gone afterwards with everything in it; only the logs stay when the demo fails."""
    given = _given()
    missing = tuple(name for name in SERVICES if name not in given)
    folder = Path(tempfile.mkdtemp(prefix="kessai-demo-"))
    keep_logs = False
    try:
        with temporary_stack(missing) if missing else nullcontext() as stack:
            yield _setting(folder, given, stack, missing)
    except Exception:
        keep_logs = any(folder.glob("*.log"))
        raise
    finally:
        if not keep_logs:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def lasting(folder: Path) -> Iterator[Setting]:
    """Stays, unless the demo fails before it is done."""
    given = _given()
    missing = tuple(name for name in SERVICES if name not in given)
    stack = Stack(folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if missing:
            stack.up(missing)
        yield _setting(folder, given, stack if missing else None, missing)
    except BaseException:
        stack.down(wipe=True)
        raise


def _given() -> dict[str, str]:
    """The servers that the environment names."""
    settings = Settings.from_env()
    urls = {"postgres": settings.database_url, "rabbitmq": settings.amqp_url}
    checked = {"postgres": settings.require_database_url, "rabbitmq": settings.require_amqp_url}
    return {name: checked[name]() for name, url in urls.items() if url is not None and url.get_secret_value().strip()}


def _setting(folder: Path, given: Mapping[str, str], stack: Stack | None, private: tuple[str, ...]) -> Setting:
    own = stack.environment() if stack else {}
    urls = {name: given.get(name) or own[URL_NAMES[name]] for name in SERVICES}
    return Setting(folder, urls["postgres"], urls["rabbitmq"], private)

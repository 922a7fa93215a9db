"""The servers, the folder and the environment of a demo, for one run or left running."""

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
"""The two endpoints: a shop that has not opted in to metered payments, and one that has."""
MERCHANTS = {WEB: "demo_web", KIOSK: "demo_kiosk"}
SECRETS = {WEB: WEBHOOK_SECRET, KIOSK: f"{WEBHOOK_SECRET}_kiosk"}


@dataclass(frozen=True, slots=True)
class Setting:
    folder: Path
    """Folder of logs and files of orders."""
    database_url: str = field(repr=False)
    amqp_url: str = field(repr=False)
    private: tuple[str, ...]
    """The servers that belong to the demo."""

    def environment(self) -> dict[str, str]:
        """Return the environment of the demo's programs, without the settings of the person who runs it."""
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
    """Provide a setting that is deleted afterwards; when the demo fails, its logs are kept."""
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
    """Provide a setting that stays, unless the demo fails."""
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
    """Return the URLs of the servers that the environment names."""
    settings = Settings.from_env()
    urls = {"postgres": settings.database_url, "rabbitmq": settings.amqp_url}
    checked = {"postgres": settings.require_database_url, "rabbitmq": settings.require_amqp_url}
    return {name: checked[name]() for name, url in urls.items() if url is not None and url.get_secret_value().strip()}


def _setting(folder: Path, given: Mapping[str, str], stack: Stack | None, private: tuple[str, ...]) -> Setting:
    own = stack.environment() if stack else {}
    urls = {name: given.get(name) or own[URL_NAMES[name]] for name in SERVICES}
    return Setting(folder, urls["postgres"], urls["rabbitmq"], private)

"""May this login be tried now? Counts failures by name and by address, in bounded memory."""

import time
from collections.abc import Callable, Hashable

from ingress.api.failures import Failures

LONGEST_NAME = 65
"""Characters by which a name is counted: one more than a name may have."""


class LoginLimits:
    """Slows password guessing down without letting the guesser lock the user out.

    An unknown browser is counted by name and address, by address, and, with a wider limit, by name alone. A browser
    that has logged in under the name before is counted only by itself. A try is counted before its hash is compared,
    so that all tries of a burst count.
    """

    def __init__(
        self,
        *,
        a_client: int = 10,
        an_address: int = 30,
        a_name: int = 100,
        within: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Failures allowed within `within` seconds; `a_client` is one browser, or one address, under one name."""
        self._clients = Failures(allowed=a_client, within=within, clock=clock)
        self._addresses = Failures(allowed=an_address, within=within, clock=clock)
        self._names = Failures(allowed=a_name, within=within, clock=clock)

    def try_now(self, name: str, address: str, device: str | None = None) -> float:
        """0 when the try may be made, and then it is counted; else the seconds to wait.

        `device` is the browser, when it is known under this name.
        """
        counted = self._counted(name, address, device)
        wait = max(failures.wait(key) for failures, key in counted)
        if wait <= 0:
            for failures, key in counted:
                failures.count(key)
        return max(wait, 0.0)

    def succeeded(self, name: str, address: str, device: str | None = None) -> None:
        for failures, key in self._counted(name, address, device):
            failures.forgive(key)

    def _counted(self, name: str, address: str, device: str | None) -> list[tuple[Failures, Hashable]]:
        name = name[:LONGEST_NAME]
        if device is not None:
            return [(self._clients, (name, "device", device))]
        return [(self._clients, (name, "address", address)), (self._addresses, address), (self._names, name)]

"""What goes wrong on purpose? Switches with a share, a number of times, and dice that a seed makes repeatable."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from types import MappingProxyType
from typing import Final, Protocol

from shared.errors import KessaiError


class Fault(StrEnum):
    DROP = "drop"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    REORDER = "reorder"
    STALE = "stale"
    TAMPER = "tamper"
    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    SLOW = "slow"
    CHECKOUT_DISABLED = "checkout_disabled"
    PAYMENT_FAILS = "payment_fails"
    BILLING_INACTIVE = "billing_inactive"
    NOTICE_FAILS = "notice_fails"
    SETTLEMENT_FAILS = "settlement_fails"
    SETTLEMENT_REFUSED = "settlement_refused"
    SETTLEMENT_UNKNOWN = "settlement_unknown"


MEANINGS: Final[Mapping[Fault, str]] = MappingProxyType(
    {
        Fault.DROP: "a webhook is never sent; the log says failed",
        Fault.DUPLICATE: "a webhook is delivered twice, each signed anew",
        Fault.DELAY: "a webhook waits on the sandbox's clock",
        Fault.REORDER: "a webhook waits until a later one has gone, or until the time is over",
        Fault.STALE: "a webhook is signed with an old timestamp; the retry is honest",
        Fault.TAMPER: "a byte of the body changes after it was signed; the retry is honest",
        Fault.RATE_LIMIT: "the API answers 429 with Retry-After",
        Fault.SERVER_ERROR: "the API answers 500, 502 or 503, before anything was done",
        Fault.SLOW: "the API answers late",
        Fault.CHECKOUT_DISABLED: "hosted checkout answers HOSTED_CHECKOUT_NOT_ENABLED",
        Fault.PAYMENT_FAILS: "a buyer's payment of a checkout session fails, and the session with it",
        Fault.BILLING_INACTIVE: "merchants' billing status reads past_due",
        Fault.NOTICE_FAILS: "the debit notice of a batch is not delivered; tried again after 6 hours",
        Fault.SETTLEMENT_FAILS: "an attempt to settle a batch fails; tried again after 6 hours, 28 times at most",
        Fault.SETTLEMENT_REFUSED: "an attempt to settle a batch fails for good and waits for an operator",
        Fault.SETTLEMENT_UNKNOWN: "the outcome of an attempt to settle is found a day later",
    }
)
USUAL_SECONDS: Final[Mapping[Fault, float]] = MappingProxyType(
    {Fault.DELAY: 3600, Fault.REORDER: 300, Fault.STALE: 3600, Fault.RATE_LIMIT: 1, Fault.SLOW: 2}
)
"""Of delay and reorder on the sandbox's clock, of the others in real time."""


class UnknownFault(KessaiError):
    """Not a fault that can be switched, or not a way to switch it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """When a switched fault strikes."""

    share: float = 1.0
    """Of the occasions, 0 to 1."""
    times: int | None = None
    """How often it may still strike; None for as long as it is switched on."""
    seconds: float | None = None
    """How late, how old; None for what is usual."""


class Dice(Protocol):
    """Whether a fault strikes now."""

    def strikes(self, fault: Fault) -> bool: ...


class Faults:
    """Each fault throws dice of its own, so that one does not change when another strikes."""

    def __init__(self, seed: int) -> None:
        self._settings: dict[Fault, Setting] = {}
        self._dice: dict[Fault, Random] = {}
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Begin all dice anew."""
        self._dice = {fault: Random(f"{seed} {fault}") for fault in Fault}  # noqa: S311 - repeatable is the point

    def switch(self, fault: Fault, setting: Setting) -> None:
        """A share of 0 switches it off. Raises UnknownFault for what cannot be."""
        if not 0 <= setting.share <= 1:
            raise UnknownFault(f"a share of {setting.share} cannot be: give 0 (never) to 1 (always)")
        if setting.times is not None and setting.times < 1:
            raise UnknownFault(f"{setting.times} times cannot be: give 1 or more")
        if setting.seconds is not None and not 0 <= setting.seconds <= 366 * 86_400:
            raise UnknownFault(f"{setting.seconds} seconds cannot be: give 0 to a year")
        if setting.share == 0:
            self._settings.pop(fault, None)
        else:
            self._settings[fault] = setting

    def clear(self) -> None:
        self._settings.clear()

    @property
    def settings(self) -> Mapping[Fault, Setting]:
        """Of the faults that are switched on."""
        return MappingProxyType(self._settings)

    def strikes(self, fault: Fault) -> bool:
        """Throw the dice of a fault that is switched on; a strike counts."""
        setting = self._settings.get(fault)
        if setting is None or self._dice[fault].random() >= setting.share:
            return False
        if setting.times is not None:
            left = setting.times - 1
            if left:
                self._settings[fault] = replace(setting, times=left)
            else:
                del self._settings[fault]
        return True

    def seconds(self, fault: Fault) -> float:
        """How late or how old, as switched. Ask before it strikes: the last strike forgets the setting."""
        setting = self._settings.get(fault)
        given = setting.seconds if setting is not None else None
        return USUAL_SECONDS.get(fault, 0) if given is None else given

    def pick(self, fault: Fault, choices: tuple[int, ...]) -> int:
        """One of the choices, from the dice of that fault."""
        return self._dice[fault].choice(choices)


def fault_named(name: str) -> Fault:
    """Raises UnknownFault."""
    try:
        return Fault(name.strip().lower().replace("-", "_"))
    except ValueError:
        raise UnknownFault(f"{name[:40]!r} is no fault: there are {', '.join(Fault)}") from None

"""When may a webhook secret go? Never while an honest webhook could still need it."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.endpoints import Endpoint, EndpointKey
from shared.ledger.rotation import KeyStanding, KeyState, standings
from shared.ledger.tallies import KeyUse
from shared.sdrp.signature import SigningSecret

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
OLD, NEW = SigningSecret.from_text("whsec_old"), SigningSecret.from_text("whsec_new")
NEVER, MONTH, WEEK, TODAY = (0, 0, 0), (0, 0, 9), (0, 5, 9), (2, 5, 9)
"""Deliveries in a day, a week, a month."""


def use(secret: SigningSecret, counts: tuple[int, int, int]) -> list[KeyUse]:
    return [KeyUse("siglume", secret.fingerprint, NOW - 20 * DAY, NOW, *counts)] if counts[2] else []


def key(secret: SigningSecret, *, since: timedelta | None = None, until: timedelta | None = None) -> EndpointKey:
    """Its window is told from now."""
    return EndpointKey(secret, "a file", None if since is None else NOW + since, None if until is None else NOW + until)


def judged(
    *keys: EndpointKey,
    old: tuple[int, int, int] = NEVER,
    new: tuple[int, int, int] = NEVER,
    signing: SigningSecret | None = None,
) -> dict[str, KeyStanding]:
    """What is said of the old key and of the new one."""
    found = standings(
        {"siglume": Endpoint("siglume", keys)} if keys else {},
        [*use(OLD, old), *use(NEW, new)],
        {} if signing is None else {"siglume": frozenset({signing.fingerprint})},
        now=NOW,
    )
    names = {OLD.fingerprint: "old", NEW.fingerprint: "new"}
    return {names[each.fingerprint]: each for each in found}


BOTH = (key(NEW), key(OLD))


@pytest.mark.parametrize(
    ("old", "new", "signing", "may_go"),
    [
        (TODAY, NEVER, None, False),
        (TODAY, TODAY, None, False),
        (WEEK, TODAY, None, False),
        (MONTH, TODAY, None, True),
        (MONTH, MONTH, None, False),  # a shop that sells little
        (NEVER, TODAY, None, False),  # perhaps the one that comes next
        (TODAY, NEVER, NEW, False),
        (WEEK, NEVER, NEW, False),  # the new one has proved nothing yet
        (WEEK, WEEK, NEW, False),
        (TODAY, TODAY, NEW, False),
        (WEEK, TODAY, NEW, True),  # a day is enough when Siglume says so
        (NEVER, TODAY, NEW, True),
        (MONTH, TODAY, OLD, False),
        (NEVER, TODAY, OLD, False),
    ],
)
def test_when_the_old_secret_may_go(
    old: tuple[int, int, int], new: tuple[int, int, int], signing: SigningSecret | None, may_go: bool
) -> None:
    said = judged(*BOTH, old=old, new=new, signing=signing)
    assert said["old"].is_retirable is may_go
    assert not said["new"].is_retirable
    assert all(each.told for each in said.values())


def test_a_secret_whose_window_is_over_may_go_however_much_it_was_used() -> None:
    said = judged(key(NEW), key(OLD, until=-DAY), old=TODAY, new=TODAY)
    assert (said["old"].state, said["old"].is_retirable) == (KeyState.OVER, True)


@pytest.mark.parametrize("window", [{"until": -DAY}, {"since": DAY}])
def test_the_secret_that_siglume_signs_with_must_be_live(window: dict[str, timedelta]) -> None:
    said = judged(key(NEW), key(OLD, **window), new=TODAY, signing=OLD)["old"]
    assert not said.is_retirable
    assert "refused" in said.told


def test_a_successor_that_is_not_live_replaces_nothing() -> None:
    said = judged(key(NEW, since=DAY), key(OLD), old=WEEK, signing=NEW)
    assert (said["new"].state, said["old"].is_retirable) == (KeyState.NOT_YET, False)


def test_what_was_retired_is_told_as_long_as_its_use_is_known() -> None:
    said = judged(key(NEW), old=WEEK, new=TODAY)["old"]
    assert (said.state, said.given_by, said.is_retirable) == (KeyState.REMOVED, None, False)


def test_without_any_secret_here_use_alone_is_judged() -> None:
    said = judged(old=MONTH, new=TODAY)
    assert (said["old"].state, said["old"].is_retirable, said["new"].is_retirable) == (KeyState.UNKNOWN, True, False)


def test_endpoints_are_judged_apart() -> None:
    doors = {name: Endpoint(name, (key(secret),)) for name, secret in (("siglume", OLD), ("tea", NEW))}
    found = standings(doors, use(OLD, MONTH), {"tea": frozenset({NEW.fingerprint})}, now=NOW)
    assert [(each.endpoint, each.is_signing, each.is_retirable) for each in found] == [
        ("siglume", None, False),
        ("tea", True, False),
    ]

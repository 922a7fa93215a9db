"""Webhooks that the ingress refuses, and signed bytes that are no event."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from deploy.sending.events import dump
from deploy.sending.kinds import Kind
from deploy.sending.post import Posting
from deploy.showcase.scene import Casting, Scene, fate
from shared.sdrp.signature import SigningSecret


def malformed(cast: Casting, title: str, each: int) -> Scene:
    """Bytes that the platform signed and that are no event: another delivery of them would end the same way."""
    bodies: list[bytes] = []
    for n in range(each):
        good = cast.event(Kind.STANDARD_SETTLED, n)
        bodies += [
            b"{" + dump(good),
            b"\xef\xbb\xbf" + dump(good),
            dump([good]),
            dump({name: value for name, value in good.items() if name != "id"}),
            dump(good | {"id": 4711}),
            dump(good | {"id": "  "}),
            dump(good | {"id": "x" * 10_000}),
            dump(good | {"id": "evt_\0"}),
            dump(good | {"data": [good["data"]]}),
            dump({name: value for name, value in good.items() if name != "data"}),
        ]
    reasons = Counter(
        not_json=2,
        not_an_object=1,
        missing_id=1,
        id_not_text=1,
        blank_id=1,
        id_too_long=1,
        nul_in_id=1,
        data_not_an_object=1,
        missing_data=1,
    )
    expected = Counter({fate("dead letter", f"malformed:{reason}"): each * times for reason, times in reasons.items()})
    return Scene(cast.scene, title, tuple(map(cast.raw, bodies)), expected)


def forged(cast: Casting, title: str, number: int) -> Scene:
    wrong = SigningSecret.from_text("whsec_of_somebody_else")
    return _refused(cast, title, number, 401, lambda posting: replace(posting, secret=wrong))


def stale(cast: Casting, title: str, number: int) -> Scene:
    return _refused(cast, title, number, 401, lambda posting: replace(posting, age=3600))


def unsigned(cast: Casting, title: str, number: int) -> Scene:
    return _refused(cast, title, number, 401, lambda posting: replace(posting, secret=None))


def elsewhere(cast: Casting, title: str, number: int) -> Scene:
    return _refused(cast, title, number, 404, lambda posting: replace(posting, url=posting.url.with_name("nobody")))


def too_large(cast: Casting, title: str, number: int) -> Scene:
    return _refused(cast, title, number, 413, lambda posting: replace(posting, raw=posting.raw + b" " * 256 * 1024))


def encoded(cast: Casting, title: str, number: int) -> Scene:
    gzip = (("Content-Encoding", "gzip"),)
    return _refused(cast, title, number, 415, lambda posting: replace(posting, further_headers=gzip))


def _refused(cast: Casting, title: str, number: int, status: int, spoil: Callable[[Posting], Posting]) -> Scene:
    """Good payments of registered orders, each with one fault that the ingress detects."""
    scene = cast.scene_of(title, [cast.payment(n) for n in range(number)], fate("refused", str(status)))
    return replace(scene, postings=tuple(map(spoil, scene.postings)))

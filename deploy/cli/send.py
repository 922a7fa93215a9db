"""`kessai send`: builds, signs and posts events as the platform does."""

import secrets
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import count as counting
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.books import with_books
from deploy.cli.options import AsJson
from deploy.cli.output import print_json, print_table, say
from deploy.sending.kinds import Kind
from shared.errors import KessaiError

if TYPE_CHECKING:
    from deploy.sending.post import Answers, Posting
    from deploy.sending.recipe import Terms
    from shared.ledger.database import Connection
    from shared.sdrp.signature import SigningSecret

STALE_SECONDS = 3600
"""An age far beyond the tolerance for signatures."""

ANY_KIND = "Kind of the event."
URL = "URL of a webhook endpoint."
SET = "Change a field, e.g. data.amount_minor=1200; the value is JSON or text. May be repeated."
FOR_ORDER = "Pay this order of the books: use its amount, its currency and its newest challenge."
BODY_FILE = "Send the bytes of this file unchanged; - is standard input."
DUPLICATES = "Number of further deliveries of each event, each with a new signature."
SECRET = "Sign with this secret instead of the endpoint's; other users see it in the list of processes."  # noqa: S105
EXPECT = "The status that every answer must have; any 2xx when omitted."

KindName = Annotated[Kind | None, typer.Argument(metavar="KIND", help=ANY_KIND, show_default="standard_settled")]
To = Annotated[str, typer.Option("--url", help=URL)]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help=SET)]
ForOrder = Annotated[str | None, typer.Option(metavar="ORDER_ID", help=FOR_ORDER)]
EventId = Annotated[
    str | None, typer.Option(metavar="ID", help="Id of the event; a fresh one for each event when omitted.")
]
BodyFile = Annotated[str | None, typer.Option(metavar="FILE", help=BODY_FILE)]
Count = Annotated[int, typer.Option(min=1, max=10_000_000, help="Number of events.")]
Rate = Annotated[float | None, typer.Option(min=0.001, help="Requests a second, at most; no limit when omitted.")]
Duplicates = Annotated[int, typer.Option(min=0, max=1000, help=DUPLICATES)]
Concurrency = Annotated[int, typer.Option(min=1, max=1000, help="Number of requests at the same time.")]
Stale = Annotated[bool, typer.Option("--stale", help="Sign with the time of an hour ago.")]
WrongSecret = Annotated[bool, typer.Option("--wrong-secret", help="Sign with a secret that no endpoint has.")]
Secret = Annotated[str | None, typer.Option(metavar="SECRET", show_default=False, help=SECRET)]
Expect = Annotated[int | None, typer.Option(metavar="STATUS", min=100, max=599, help=EXPECT)]


class CannotSend(KessaiError):
    """The request cannot be built, or no server answers it."""


def send(
    kind: KindName = None,
    to: To = "http://127.0.0.1:8080/webhooks/siglume",
    settings: Set = None,
    for_order: ForOrder = None,
    event_id: EventId = None,
    body_file: BodyFile = None,
    count: Count = 1,
    rate: Rate = None,
    duplicates: Duplicates = 0,
    concurrency: Concurrency = 16,
    stale: Stale = False,
    wrong_secret: WrongSecret = False,
    secret: Secret = None,
    expect: Expect = None,
    as_json: AsJson = False,
) -> None:
    """Build, sign and post events to an ingress, and print its answers.

    The secret is that of the endpoint in the URL: SIGLUME_WEBHOOK_SECRET, or the one in the file of KESSAI_CONFIG.

    Exit code 1 when an answer is not 2xx, or not the status of --expect, or when the ingress does not answer.
    """
    from deploy.sending.post import Posting, address

    url = address(to)
    if body_file is None:
        next_body = _events(kind or Kind.STANDARD_SETTLED, settings or [], for_order, event_id, endpoint=url.name)
    elif kind or settings or for_order or event_id:
        raise typer.BadParameter("--body-file sends bytes unchanged: omit KIND and every option that changes the event")
    else:
        next_body = _same(_read(body_file))
    signing = _secret(secret, endpoint=url.name, wrong=wrong_secret)
    age = STALE_SECONDS if stale else 0
    first = next_body()
    bodies = (next_body() if number else first for number in range(count))
    postings = (Posting(url, body, signing, age + copy) for body in bodies for copy in range(1 + duplicates))
    answers = _post(postings, total=count * (1 + duplicates), concurrency=concurrency, rate=rate)
    _print_answers(answers, str(url), event_id=_id_of(first) if count == 1 else None, as_json=as_json)
    if not all(_as_expected(status, expect) for status in answers.statuses):
        raise typer.Exit(1)


def _events(
    kind: Kind, settings: list[str], for_order: str | None, event_id: str | None, *, endpoint: str
) -> Callable[[], bytes]:
    from deploy.sending.events import read_setting
    from deploy.sending.recipe import Recipe
    from shared.settings import Settings

    shop = Settings.from_env().shops().get(endpoint)
    recipe = Recipe(
        kind,
        settings=tuple(read_setting(setting) for setting in settings),
        terms=_terms_of(for_order) if for_order else None,
        event_id=event_id,
        merchant=shop.merchant if shop else None,
    )
    run, numbers = secrets.token_hex(6), counting(1)
    return recipe.bodies(lambda: f"{run}_{next(numbers)}", lambda: datetime.now(UTC))


def _terms_of(order_id: str) -> "Terms":
    from deploy.sending.recipe import Terms
    from shared.ledger import challenges, orders

    async def work(connection: "Connection") -> Terms:
        order = await orders.find(connection, order_id)
        hashes = await challenges.hashes_of(connection, order_id)
        if not hashes:
            raise CannotSend(
                f"order {order_id!r} has no challenge to pay: add one, e.g. with kessai orders add {order_id} "
                f"--amount-minor {order.amount_minor} --currency {order.currency} --challenge-hash sha256:..."
            )
        return Terms(order.amount_minor, order.currency, hashes[0])

    return with_books(work)


def _same(body: bytes) -> Callable[[], bytes]:
    return lambda: body


def _read(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise CannotSend(f"cannot read {path}: {error.strerror}") from None


def _secret(given: str | None, *, endpoint: str, wrong: bool) -> "SigningSecret":
    from shared.sdrp.signature import SigningSecret
    from shared.settings import Settings

    if wrong:
        return SigningSecret.from_text(f"whsec_wrong_{secrets.token_hex(12)}")
    if given is not None:
        return SigningSecret.from_text(given)
    endpoints = Settings.from_env().endpoints()
    if endpoint not in endpoints:
        raise CannotSend(f"no secret for endpoint {endpoint!r} is configured here: set it, or give one with --secret")
    live = endpoints[endpoint].live_secrets(datetime.now(UTC).timestamp())
    if not live:
        raise CannotSend(f"no secret of endpoint {endpoint!r} is valid now: see `kessai keys list`, or give --secret")
    return live[0]


def _post(postings: Iterable["Posting"], *, total: int, concurrency: int, rate: float | None) -> "Answers":
    import asyncio

    from rich.console import Console
    from rich.progress import Progress

    from deploy.sending.post import post_all

    shown = total > 1 and sys.stderr.isatty()
    with Progress(console=Console(stderr=True), transient=True, disable=not shown) as progress:
        task = progress.add_task("sending", total=total)
        sending = post_all(
            postings,
            concurrency=min(concurrency, total),
            rate=rate,
            answered=lambda _posting, _status: progress.advance(task),
        )
        return asyncio.run(sending)


def _print_answers(answers: "Answers", url: str, *, event_id: str | None, as_json: bool) -> None:
    from deploy.sending.post import UNREACHABLE

    unanswered = answers.statuses[UNREACHABLE]
    answered = {status: number for status, number in sorted(answers.statuses.items()) if status != UNREACHABLE}
    if unanswered and not answered:
        raise CannotSend(f"{url} does not answer ({answers.trouble}): is `kessai ingress` running there?")
    if as_json:
        print_json(
            {
                "url": url,
                "event_id": event_id,
                "sent": answers.statuses.total(),
                "answers": {str(status): number for status, number in answered.items()},
                "unanswered": unanswered,
                "p50_ms": answers.percentile_ms(0.50),
                "p99_ms": answers.percentile_ms(0.99),
            }
        )
        return
    if event_id is not None and answered.keys() == {204}:
        typer.echo(f"204 accepted: `kessai events show {event_id}` shows what becomes of it")
        return
    rows: list[tuple[object, ...]] = [(status, _phrase(status), number) for status, number in answered.items()]
    if unanswered:
        rows.append((None, answers.trouble, unanswered))
    print_table(("status", "meaning", "answers"), rows, empty="")
    if len(answers.seconds) > 1:
        say(f"p50 {answers.percentile_ms(0.50)} ms, p99 {answers.percentile_ms(0.99)} ms")


def _phrase(status: int) -> str:
    meanings = {
        204: "accepted",
        401: "signature refused",
        404: "no such endpoint",
        503: "not accepted: send it again later",
    }
    try:
        return meanings.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return ""


def _id_of(body: bytes) -> str | None:
    from shared.sdrp.events import MalformedEvent, parse

    try:
        return parse(body).id
    except MalformedEvent as malformed:
        return malformed.event_id


def _as_expected(status: int, expect: int | None) -> bool:
    return 200 <= status < 300 if expect is None else status == expect

"""`kessai dead-letters`: webhooks that could not be applied, with their bytes."""

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.bodies import SaveRaw, as_text, save, show_body
from deploy.cli.books import actor, with_books
from deploy.cli.options import (
    MAX_ID,
    AsJson,
    Limit,
    NoteText,
    OnlyChallenge,
    OnlyEndpoint,
    OnlyEvent,
    OnlyKind,
    OnlyOrder,
    OnlyType,
    at_most,
)
from deploy.cli.output import print_fields, print_json, print_table, printable, say
from deploy.cli.times import Since, Until
from shared.plurals import counted

if TYPE_CHECKING:
    from shared.ledger.dead_letter_search import DeadLetter, DeadLetterState
    from shared.ledger.discards import Selection

app = typer.Typer(
    name="dead-letters", help="Examine and discard webhooks that could not be applied.", no_args_is_help=True
)


class InState(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"
    DISCARDED = "discarded"
    ALL = "all"


LetterId = Annotated[
    int,
    typer.Argument(metavar="DEAD_LETTER_ID", min=1, callback=at_most(MAX_ID), help="See `kessai dead-letters list`."),
]
LetterIds = Annotated[
    list[int] | None,
    typer.Argument(
        metavar="DEAD_LETTER_ID", min=1, callback=at_most(MAX_ID), help="The dead letters; omit them with --group."
    ),
]
State = Annotated[InState, typer.Option("--state", help="Only dead letters in this state.")]
OfGroup = Annotated[
    str | None, typer.Option("--group", metavar="GROUP", help="Only this group: see `kessai dead-letters groups`.")
]
AllOfGroup = Annotated[str | None, typer.Option("--group", metavar="GROUP", help="All of this group, instead of ids.")]
OfReason = Annotated[str | None, typer.Option("--reason", help="Only this reason.")]
Holding = Annotated[str | None, typer.Option("--text", help="Only bodies that contain this text, byte for byte.")]
Version = Annotated[
    str | None,
    typer.Option(
        "--version",
        help="Version of the group, as `groups` printed it; refused when the group has changed since.",
    ),
]
Group = Annotated[str, typer.Argument(metavar="GROUP", help="See `kessai dead-letters groups`.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Reason, kept in the audit.")]


@app.command()
def groups(state: State = InState.OPEN, as_json: AsJson = False) -> None:
    """List dead letters by the error that they share, the most frequent first."""
    from shared.ledger.noted_groups import noted_groups

    found = with_books(lambda connection: noted_groups(connection, state=_state(state)))
    if as_json:
        print_json(found)
        return
    print_table(
        (
            *("group", "dead letters", "reason", "error", "kind", "endpoint", "first seen", "last seen", "example"),
            *("version", "note"),
        ),
        [
            (
                *(g.group_id, g.count, g.reason, g.error, g.kind, g.endpoint, g.first_seen, g.last_seen, g.example_id),
                *(g.version, g.note.body if g.note is not None else None),
            )
            for g in found
        ],
        empty="no dead letters: everything could be applied" if state is InState.ALL else f"no {state} dead letters",
    )


@app.command("list")
def list_dead_letters(
    limit: Limit = 50,
    group: OfGroup = None,
    state: State = InState.ALL,
    reason: OfReason = None,
    type_: OnlyType = None,
    kind: OnlyKind = None,
    endpoint: OnlyEndpoint = None,
    event: OnlyEvent = None,
    order: OnlyOrder = None,
    challenge_hash: OnlyChallenge = None,
    text: Holding = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """List the newest dead letters, and why each could not be applied."""
    from shared.ledger.dead_letter_search import DeadLetterFilter, search

    wanted = DeadLetterFilter(
        group_id=group,
        state=_state(state),
        reason=reason,
        type=type_,
        kind=kind,
        endpoint=endpoint,
        event_id=event,
        order_id=order,
        challenge_hash=challenge_hash,
        raw_holds=None if text is None else text.encode("utf-8", "surrogateescape"),  # bytes as the shell gave them
        since=since,
        until=until,
    )
    found = with_books(lambda connection: search(connection, wanted, limit=limit))
    if as_json:
        print_json(found)
    else:
        _print_list(found, is_filtered=wanted != DeadLetterFilter())


@app.command()
def show(letter_id: LetterId, raw: SaveRaw = None, as_json: AsJson = False) -> None:
    """Show one dead letter and its body; control characters are shown as escapes."""
    from shared.ledger import dead_letter_search

    if raw is not None:
        _, whole = with_books(lambda connection: dead_letter_search.find_with_bytes(connection, letter_id))
        save(whole, raw)
        return
    letter, body = with_books(lambda connection: dead_letter_search.find(connection, letter_id))
    if as_json:
        shown = (None, None) if body is None else (len(body), as_text(body))
        print_json(asdict(letter) | dict(zip(("raw_bytes", "raw"), shown, strict=True)))
        return
    print_fields(asdict(letter))
    if body is not None:
        show_body(body)
    else:
        say(f"bytes deleted on {letter.raw_deleted_at:%Y-%m-%d}")


@app.command()
def verify(letter_id: LetterId, as_json: AsJson = False) -> None:
    """Verify the signature of the kept body again.

    Exit code 1 when it does not verify.
    """
    from deploy.cli.proofs import configured_secrets, print_proofs
    from shared.ledger import receipts
    from shared.ledger.proved_receipts import prove_receipts

    secrets = configured_secrets()
    endpoint, receipt = with_books(lambda connection: receipts.of_dead_letter(connection, letter_id))
    print_proofs(prove_receipts(endpoint, [receipt], secrets), as_json=as_json)


@app.command()
def discard(
    why: Why, ids: LetterIds = None, group: AllOfGroup = None, version: Version = None, as_json: AsJson = False
) -> None:
    """Close open dead letters that nobody will replay. `reopen` opens them again while their bytes are kept."""
    from shared.ledger import discards

    chosen = _chosen(ids, group, version)
    done = with_books(lambda connection: discards.discard(connection, chosen, actor=actor(), why=why))
    _print_moved(done, InState.DISCARDED, as_json=as_json)


@app.command()
def note(group: Group, text: NoteText, as_json: AsJson = False) -> None:
    """Add a note to a group; `kessai dead-letters groups` shows the newest note of each."""
    from shared.ledger import notes

    kind = notes.NoteThing.DEAD_LETTER_GROUP
    kept = with_books(lambda connection: notes.add(connection, kind, group, text, author=actor()))
    if as_json:
        print_json(kept)
    else:
        typer.echo(f"note {kept.note_id} is kept with group {printable(group)}")


@app.command()
def reopen(
    why: Why, ids: LetterIds = None, group: AllOfGroup = None, version: Version = None, as_json: AsJson = False
) -> None:
    """Take back a discard: the dead letters are open again."""
    from shared.ledger import discards

    chosen = _chosen(ids, group, version)
    done = with_books(lambda connection: discards.reopen(connection, chosen, actor=actor(), why=why))
    _print_moved(done, InState.OPEN, as_json=as_json)


def _print_list(found: "list[DeadLetter]", *, is_filtered: bool) -> None:
    print_table(
        ("dead letter", "received", "group", "state", "reason", "error", "endpoint", "event", "attempts"),
        [
            (
                *(d.dead_letter_id, d.received_at, d.group_id, d.state, d.reason, d.error, d.endpoint),
                *(d.event_id, d.attempts),
            )
            for d in found
        ],
        empty="no dead letter fits all of these filters: omit one of them"
        if is_filtered
        else "no dead letters: everything could be applied",
    )


def _state(state: InState) -> "DeadLetterState | None":
    from shared.ledger.dead_letter_search import DeadLetterState

    return None if state is InState.ALL else DeadLetterState(state.value)


def _chosen(ids: list[int] | None, group: str | None, version: str | None) -> "Selection":
    from shared.ledger.discards import Selection

    if bool(ids) == (group is not None):
        raise typer.BadParameter("name dead letters by their ids, or a group with --group, but not both")
    if (group is None) != (version is None):
        raise typer.BadParameter("--group and --version belong together: `kessai dead-letters groups` prints both")
    return Selection(ids=ids or (), group_id=group, version=version or "")


def _print_moved(ids: list[int], state: InState, *, as_json: bool) -> None:
    if as_json:
        print_json({"state": state, "count": len(ids), "dead_letter_ids": ids})
    else:
        typer.echo(f"{counted(len(ids), 'dead letter')} {'is' if len(ids) == 1 else 'are'} {state} now")

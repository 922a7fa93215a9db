"""Prints whether the kept bytes still carry their signatures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from deploy.cli.output import print_json, print_table, say
from shared.ledger.proof import Verdict

if TYPE_CHECKING:
    from shared.ledger.proved_receipts import ProvedReceipt
    from shared.sdrp.signature import SigningSecret


def configured_secrets() -> "Mapping[str, Sequence[SigningSecret]]":
    """Return the secrets of each endpoint. Raises SettingsError when none is configured."""
    from shared.settings import Settings

    return {name: endpoint.secrets for name, endpoint in Settings.from_env().endpoints().items()}


ADVICE = {
    Verdict.DOES_NOT_MATCH: "the secret is configured, but the signature does not fit: compare the bytes with a backup",
    Verdict.KEY_NOT_CONFIGURED: "the secret that verified the bytes then is not configured here: name it in "
    "KESSAI_CONFIG, as one of the endpoint's secret_files, and run this again",
    Verdict.NO_SIGNATURE: "the text that was kept as the signature has no such form, so nothing can be verified",
}


def print_proofs(proofs: "Sequence[ProvedReceipt]", *, as_json: bool) -> None:
    """Print the verdict on each receipt. Raises typer.Exit with code 1 unless every receipt is proved."""
    if as_json:
        print_json(proofs)
    else:
        print_table(
            ("receipt", "received", "kept in", "verdict", "signed", "key then", "proved by"),
            [
                (p.receipt_id, p.received_at, p.kept_in, p.verdict, p.signed_at, p.key_fingerprint, p.proved_by)
                for p in proofs
            ],
            empty="",
        )
    unproved = dict.fromkeys(proof.verdict for proof in proofs if proof.verdict is not Verdict.PROVED)
    for verdict in unproved:
        say(f"{verdict}: {ADVICE[verdict]}")
    if unproved:
        raise typer.Exit(1)

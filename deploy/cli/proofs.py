"""How does a person hear whether the kept bytes still carry their signature?"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from deploy.cli.show import print_json, print_table, say
from shared.ledger.proof import Verdict

if TYPE_CHECKING:
    from shared.ledger.proved_receipts import ProvedReceipt
    from shared.sdrp.signature import SigningSecret


def secrets_here() -> "Mapping[str, Sequence[SigningSecret]]":
    """By endpoint. Raises SettingsError when none is configured."""
    from shared.settings import Settings

    return {name: endpoint.secrets for name, endpoint in Settings.from_env().endpoints().items()}


ADVICE = {
    Verdict.DOES_NOT_MATCH: "the secret is here and does not vouch for the bytes: compare them with a backup",
    Verdict.KEY_NOT_CONFIGURED: "the secret that vouched for them is not configured here: name it in KESSAI_CONFIG, "
    "as one of the endpoint's secret_files, and ask again",
    Verdict.NO_SIGNATURE: "what was kept in place of the signature is none",
}


def tell(proofs: "Sequence[ProvedReceipt]", *, as_json: bool) -> None:
    """Ends with exit code 1 unless every receipt is proved."""
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

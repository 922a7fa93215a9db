"""Passwords cost time and memory where they are checked, and nowhere else."""

import subprocess
import sys

from shared.ledger.passwords import Verifier, hashed

IMPORT = """
import argon2
def forbidden(*_: object) -> str:
    raise AssertionError("a password was hashed by an import")
argon2.PasswordHasher.hash = forbidden
import shared.ledger.passwords
"""


def test_importing_the_module_hashes_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_a_name_without_a_hash_has_no_password_not_even_that_of_the_decoy() -> None:
    verifier = Verifier()
    assert not await verifier.matches("the password of nobody", None)
    assert await verifier.matches("correct horse battery", hashed("correct horse battery"))
    assert not await verifier.matches("another horse battery", hashed("correct horse battery"))

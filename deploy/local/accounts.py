"""Chooses the account that a server runs under: Postgres refuses root, so root runs both servers as other users."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LocalStackError


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine, by number."""

    name: str
    uid: int
    gid: int


def account_for(home: Path, *, preferred: Sequence[str]) -> Account | None:
    """Return the account to switch to, or None to keep the present one.

    Existing data keeps its owner, so that root can later run a stack that another user created.
    """
    if os.geteuid() != 0:
        return None
    if home.exists() and (owner := home.stat().st_uid) != 0:
        return _account(pwd.getpwuid(owner))
    for name in (*preferred, "nobody"):
        try:
            return _account(pwd.getpwnam(name))
        except KeyError:
            continue
    raise LocalStackError(f"root may not run the servers and there is no account {', '.join(preferred)} or nobody")


def may_enter(folder: Path, account: Account) -> bool:
    """Return whether `account` can reach `folder` through all of its parents."""
    answer = subprocess.run(  # noqa: S603 - a fixed program, the folder is one argument
        ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        cwd="/",
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return answer.returncode == 0


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)

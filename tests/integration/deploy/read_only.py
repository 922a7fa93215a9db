"""How can a process be run without an engine as a container runs it: a read-only root, and a user unknown to it?"""

import subprocess
from functools import cache
from pathlib import Path

_NARROW = """\
scratch=$1
shift
mount --make-rprivate /
cut -d' ' -f5 /proc/self/mountinfo | while read -r at; do
  case $at in
    /proc* | /sys* | /dev*) ;;
    *) mount -o remount,bind,ro "$(printf %b "$at")" ;;
  esac
done
mount -t tmpfs tmpfs "$scratch"
"""
_AS_NOBODY = 'exec unshare --user --map-user=10001 --map-group=10001 -- env TMPDIR="$scratch" "$@"'
_PROBE = "! touch /tmp/kessai-read-only-probe 2>&- && touch $TMPDIR/probe && [ $(id -u) = 10001 ]"


def read_only_root(scratch: Path) -> tuple[str, ...]:
    """A command that runs another one so, with `scratch` as its only place to write.

    Where this machine lets nobody make namespaces the command changes nothing: that the files of the image stay as
    they are is then all that a test can see.
    """
    return _wrapper(scratch) if _is_possible(scratch) else ()


def _wrapper(scratch: Path) -> tuple[str, ...]:
    return ("unshare", "--mount", "sh", "-euc", f"{_NARROW}{_AS_NOBODY}", "sh", str(scratch))


@cache
def _is_possible(scratch: Path) -> bool:
    try:
        probe = subprocess.run([*_wrapper(scratch), "sh", "-euc", _PROBE], capture_output=True, check=False, timeout=20)
    except FileNotFoundError:
        return False
    return probe.returncode == 0

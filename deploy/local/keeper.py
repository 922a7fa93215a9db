"""Deletes a temporary stack after the program that started it has ended, in whatever way.

Run as `python -m deploy.local.keeper FOLDER` with standard input held open by that program.
"""

import signal
import sys
from pathlib import Path

from deploy.local.stack import Stack


def keep(folder: Path) -> None:
    for signal_number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    Stack(folder).down(wipe=True)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))

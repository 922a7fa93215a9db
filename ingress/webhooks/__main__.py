"""One of several ingress processes, as their parent starts it; people run `kessai ingress`."""

import sys
from argparse import ArgumentParser

from ingress.webhooks.app import Listen, run
from ingress.webhooks.processes import EXIT_REFUSED
from shared.errors import KessaiError
from shared.settings import Settings


def main() -> int:
    parser = ArgumentParser(prog="python -m ingress.webhooks", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--admin-host", required=True)
    parser.add_argument("--admin-port", type=int, required=True)
    given = parser.parse_args()
    listen = Listen(given.host, given.port, given.admin_host, given.admin_port, share_port=True)
    try:
        run(Settings.from_env(), listen, stop_at_eof=sys.stdin.fileno())
    except KessaiError as error:
        sys.stderr.write(f"kessai ingress: {error}\n")
        return EXIT_REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())

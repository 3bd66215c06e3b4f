"""`python -m troth_sandbox.salesforce`: serve one seeded org until a signal ends it."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from troth_sandbox.errors import SeedError
from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.seed import read_seed
from troth_sandbox.salesforce.server import serving
from troth_sandbox.salesforce.simulation import Site, open_site

CONFIGURATION = 78


def main() -> int:
    """Run the simulator; 78 and one sentence when it cannot be set up as asked."""
    arguments = _arguments()
    try:
        site = open_site(read_seed(arguments.seed), SettableClock())
        asyncio.run(_serve(site, arguments))
    except SeedError as error:
        print(f"salesforce simulator: {error}", file=sys.stderr)
        return CONFIGURATION
    except OSError as error:
        print(f"salesforce simulator: cannot listen or write: {error}", file=sys.stderr)
        return CONFIGURATION
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m troth_sandbox.salesforce", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="HTTPS port of the API; 0 takes a free one")
    parser.add_argument(
        "--admin-port", type=int, default=0, help="HTTP port of the controls; 0 takes a free one"
    )
    parser.add_argument("--seed", type=Path, required=True, help="JSON file with the org's records")
    parser.add_argument(
        "--tls-dir", type=Path, required=True, help="folder for ca.pem, the authority to trust"
    )
    return parser.parse_args()


async def _serve(site: Site, arguments: argparse.Namespace) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    places = {"port": arguments.port, "admin_port": arguments.admin_port, "tls_dir": arguments.tls_dir}
    async with serving(site, **places) as ports:
        print(f"ready api={ports.api} admin={ports.admin}", flush=True)
        await ended.wait()


if __name__ == "__main__":
    sys.exit(main())

"""`python -m troth_sandbox.jira --port P --seed FILE --admin-port A`: the Jira simulator as a process.

Without a seed it serves a small sample site, for trying requests by hand.
"""

import argparse
import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from troth_sandbox.errors import SeedError
from troth_sandbox.jira import sample
from troth_sandbox.jira.clock import SettableClock
from troth_sandbox.jira.seed import load, parse
from troth_sandbox.jira.serving import serve
from troth_sandbox.jira.site import Site


def main() -> int:
    """Serve until told to stop; 78 with one sentence when the seed is not usable."""
    parser = argparse.ArgumentParser(prog="troth_sandbox.jira", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="API port on 127.0.0.1, 0 for a free one")
    parser.add_argument("--admin-port", type=int, required=True, help="admin port, 0 for a free one")
    parser.add_argument("--seed", type=Path, help="seed file (JSON)")
    parser.add_argument(
        "--deployment", choices=("Cloud", "Server"), help="the dialect, whatever the seed says"
    )
    options = parser.parse_args()
    try:
        store = load(options.seed) if options.seed else parse(sample.content())
    except SeedError as error:
        print(error, file=sys.stderr)
        return 78
    if options.deployment:
        store.settings = replace(store.settings, deployment=options.deployment)
    asyncio.run(serve(Site(store, SettableClock()), options.port, options.admin_port))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Run the best broker of this machine by hand until Ctrl-C: `python -m troth_sandbox.brokers`."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

from troth_sandbox.brokers.broker import Broker
from troth_sandbox.brokers.order import open_broker
from troth_sandbox.errors import BrokerError


def main() -> int:
    """Start, print the address, wait for SIGINT or SIGTERM, stop."""
    parser = argparse.ArgumentParser(prog="python -m troth_sandbox.brokers", description=__doc__)
    parser.add_argument("--run-dir", type=Path, help="where data and logs go (default: a temporary folder)")
    options = parser.parse_args()
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    run_dir = options.run_dir or Path(tempfile.mkdtemp(prefix="troth-kafka-"))
    try:
        with open_broker(os.environ, run_dir, say=_tell) as broker:
            _tell(_introduction(broker, run_dir))
            stopped.wait()
    except BrokerError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if options.run_dir is None:
            shutil.rmtree(run_dir, ignore_errors=True)
    return 0


def _introduction(broker: Broker, run_dir: Path) -> str:
    return (
        f"ready bootstrap={broker.bootstrap} kind={broker.kind} version={broker.version.replace(' ', '-')}\n"
        f"export KAFKA_BOOTSTRAP_SERVERS={broker.bootstrap}   # producers: {broker.producer_mode}; files: {run_dir}"
    )


def _tell(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    sys.exit(main())

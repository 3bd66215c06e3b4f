"""Ask a broker, in its own protocol, whether it is ready."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from troth_sandbox.ports import is_open


def answers_admin(bootstrap: str, *, cluster: str | None = None, patience: float = 5.0) -> bool:
    """True when an admin client can list the topics of `host:port`; also inside an event loop.

    With `cluster`, only that cluster's answer counts: another broker may have taken the port.
    """
    if not is_open(bootstrap):  # spares the client's own retries and its log lines
        return False
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, _lists_topics(bootstrap, cluster, patience)).result()


async def _lists_topics(bootstrap: str, cluster: str | None, patience: float) -> bool:
    logging.getLogger("aiokafka").addFilter(_quiet)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(patience * 1000))
    try:
        async with asyncio.timeout(patience):
            await admin.start()
            await admin.list_topics()
            found = (await admin.describe_cluster())["cluster_id"]
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await admin.close()
        logging.getLogger("aiokafka").removeFilter(_quiet)
    return cluster in (None, found)


def _quiet(record: logging.LogRecord) -> bool:
    # "Unable to connect" while we wait for a start is no news.
    return record.levelno > logging.ERROR

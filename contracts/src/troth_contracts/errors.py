"""The errors of the contracts package.

ContractError
└── UndecodableRecord    a record on a topic cannot be read as what the topic promises (poison)
"""

from __future__ import annotations


class ContractError(Exception):
    """Base of every error raised here."""


class UndecodableRecord(ContractError):
    """The record breaks its contract; ``reason`` is one sentence for the dead-letter topic."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

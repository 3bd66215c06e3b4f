"""Value objects shared by several record types."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A point in time with its offset, UTC as written; a time without one is undecodable."""


class Contract(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every type on the wire: frozen, unknown fields ignored, defaults left out."""


class Money(Contract, frozen=True):
    """An amount in its own currency; never a float, never converted."""

    amount: Decimal
    currency: str
    """ISO 4217 code."""

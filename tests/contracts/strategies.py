"""Hypothesis strategies for every type on the wire, derived from the types themselves."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st

from troth_contracts.topics import TOPICS, Topic
from troth_contracts.values import Contract

_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=20),
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    date: st.dates(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    type(None): st.none(),
}
CARRYING = tuple(topic for topic in TOPICS if topic.content is not None)
"""Topics that carry a type of ours."""


def bodies(topic: Topic) -> st.SearchStrategy[Contract]:
    """Any value the topic may carry, including the ones no vendor ever sent."""
    return values(topic.content)


def records() -> st.SearchStrategy[tuple[Topic, Contract]]:
    """A topic and a value for it."""
    return st.sampled_from(CARRYING).flatmap(lambda topic: st.tuples(st.just(topic), bodies(topic)))


def content_types(topic: Topic) -> tuple[type[Contract], ...]:
    """The type of the topic, or each one of its union."""
    return get_args(topic.content) or (topic.content,)


@cache
def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of one annotation."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind, include_extras=True)
        fields = {field.name: values(hints[field.name]) for field in msgspec.structs.fields(kind)}
        return st.fixed_dictionaries(fields).map(lambda given: kind(**given))
    return _composed(get_origin(kind), get_args(kind))


def _composed(origin: Any, arguments: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if origin in (Union, UnionType):
        return st.one_of(*map(values, arguments))
    if origin is Annotated:
        return values(arguments[0])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=2)
    raise AssertionError(f"no strategy for {origin} of {arguments}: add one")

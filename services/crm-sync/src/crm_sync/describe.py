"""Which objects and fields this org lets us read, found with describe; what is missing is named, never fatal alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from crm_sync.errors import AccessRefused, SchemaChanged
from crm_sync.related import CUSTOM, Related, Seen, looked_up, one_hop, two_hops
from crm_sync.salesforce import Described, Description, SalesforceReader
from troth_chassis.together import together

STAMPS = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
ACCOUNT_NAME = "Account.Name"
_UNREADABLE = frozenset({"address", "location", "base64", "complexvalue"})
LONGEST_CUSTOM = 6_000
"""Characters of custom field names in one query; the rest of the request is needed for ids."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object we read. ``fields`` are missed aloud, ``silent`` ones are normal to be absent."""

    name: str
    fields: tuple[str, ...]
    silent: tuple[str, ...] = ()
    stamps: tuple[str, ...] = STAMPS
    parent: str | None = None
    custom: bool = False


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


OPPORTUNITY = Wanted(
    "Opportunity",
    _names(
        "Id Name IsDeleted OwnerId AccountId StageName IsClosed IsWon Probability ForecastCategory Amount"
        " CloseDate CreatedDate SystemModstamp NextStep Description"
    ),
    silent=("CurrencyIsoCode",),
    custom=True,
)
LINE_ITEM = Wanted(
    "OpportunityLineItem",
    _names(
        "Id IsDeleted OpportunityId Product2Id Quantity TotalPrice ServiceDate Description SystemModstamp"
    ),
    silent=("CurrencyIsoCode",),
    parent="OpportunityId",
)
CONTACT_ROLE = Wanted(
    "OpportunityContactRole",
    _names("Id IsDeleted OpportunityId ContactId Role IsPrimary SystemModstamp"),
    parent="OpportunityId",
)
TEAM_MEMBER = Wanted(
    "OpportunityTeamMember",
    _names("Id IsDeleted OpportunityId UserId TeamMemberRole SystemModstamp"),
    parent="OpportunityId",
)
HISTORY = Wanted(
    "OpportunityHistory",
    _names("Id IsDeleted OpportunityId CreatedDate StageName Probability ForecastCategory Amount CloseDate"),
    stamps=("CreatedDate",),
    parent="OpportunityId",
)
STAGE = Wanted(
    "OpportunityStage",
    _names("Id ApiName MasterLabel IsClosed IsWon IsActive DefaultProbability ForecastCategory"),
)
CURRENCY = Wanted("CurrencyType", _names("Id IsoCode ConversionRate IsCorporate"))
DATED_RATE = Wanted("DatedConversionRate", _names("Id IsoCode StartDate ConversionRate"))
"""There only with advanced currency management."""
USER = Wanted("User", _names("Id Name Email IsActive"))
PRODUCT = Wanted("Product2", _names("Id Name ProductCode Family IsActive IsDeleted"))
ACCOUNT = Wanted("Account", _names("Id Name SystemModstamp"))
"""Its name is in the deal, and a rename moves no stamp of the deal."""

CHILDREN = (LINE_ITEM, CONTACT_ROLE, TEAM_MEMBER, HISTORY)
REFERENCES = (STAGE, CURRENCY, DATED_RATE, USER, PRODUCT)
ALL = (OPPORTUNITY, *CHILDREN, *REFERENCES, ACCOUNT)
OPTIONAL = frozenset({CURRENCY.name, DATED_RATE.name, TEAM_MEMBER.name, ACCOUNT.name})
"""Absent in an org with a single currency, without dated rates or opportunity teams: normal."""


@dataclass(frozen=True, slots=True)
class ObjectSchema:
    """What can be read of one object."""

    name: str
    fields: tuple[str, ...]
    stamp: str
    custom: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """Custom fields that do not fit into one query."""
    parent: str | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    """Salesforce's type of each field."""
    replicateable: bool = True
    """Whether its deletions can be asked for; else only a sweep finds them."""
    shown_stamps: tuple[str, ...] = ()
    """Paths to the stamps of looked-up records whose fields it shows: their changes are its changes."""
    trails: tuple[tuple[str, str], ...] = field(init=False)
    """Under which name, and by the stamp at which path, its changes are listed."""

    def __post_init__(self) -> None:
        others = ((f"{self.name} {path}", path) for path in self.shown_stamps if path in self.fields)
        object.__setattr__(self, "trails", ((self.name, self.stamp), *others))

    def without(self, name: str) -> ObjectSchema:
        """The same without a field that Salesforce refuses."""
        return replace(
            self,
            fields=tuple(each for each in self.fields if each != name),
            custom=tuple(each for each in self.custom if each != name),
            missing=(*self.missing, name),
        )


@dataclass(frozen=True, slots=True)
class OrgSchema:
    """Every readable object by name; the others are in ``absent``."""

    objects: Mapping[str, ObjectSchema]
    absent: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    """Could be read before, or is described and yet refused."""
    custom: tuple[str, ...] = ()
    """Every custom object that was described on the way."""
    deal: ObjectSchema = field(init=False)
    related: tuple[ObjectSchema, ...] = field(init=False)
    """Custom objects that look up the opportunity, over one or two hops."""
    children: tuple[ObjectSchema, ...] = field(init=False)
    """The readable parts of a deal, the custom ones last."""

    def __post_init__(self) -> None:
        if OPPORTUNITY.name not in self.objects:
            raise AccessRefused(
                "Salesforce shows no Opportunity to this user: give the integration user Read and View All on it"
            )
        related = tuple(item for name, item in sorted(self.objects.items()) if name.endswith(CUSTOM))
        standard = tuple(self.objects[item.name] for item in CHILDREN if item.name in self.objects)
        object.__setattr__(self, "deal", self.objects[OPPORTUNITY.name])
        object.__setattr__(self, "related", related)
        object.__setattr__(self, "children", (*standard, *related))

    @property
    def fingerprint(self) -> str:
        """Changes with any field that is read of a deal or its parts, and with its type."""
        known = (
            f"{each.name}.{name} {each.types.get(name, '')}"
            for each in (self.deal, *self.children)
            for name in each.fields
        )
        return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]

    @property
    def tables(self) -> int:
        """How many tables are read in full beside the deals, accounts among them."""
        return sum(each.name in self.objects for each in (*REFERENCES, ACCOUNT))

    def without(self, name: str, field_name: str | None) -> OrgSchema:
        """The same without a field, or without an object that is nothing without it; the deal itself stays."""
        item = self.objects.get(name)
        if item is None or (field_name and field_name not in item.fields):
            return self
        if field_name and field_name not in {"Id", item.stamp, item.parent}:
            return replace(self, objects={**self.objects, name: item.without(field_name)})
        if name == OPPORTUNITY.name:
            return self
        others = {other: each for other, each in self.objects.items() if other != name}
        return replace(self, objects=others, lost=(*self.lost, name))

    def after(self, before: OrgSchema) -> OrgSchema:
        """The same, with the names of what could be read ``before``."""
        known = {*before.objects, *before.lost, *self.lost}
        return replace(self, lost=tuple(sorted(known - self.objects.keys())))

    @property
    def closed(self) -> tuple[str, ...]:
        """Objects that should be readable, or were, and are not."""
        return tuple(sorted({*self.absent} - OPTIONAL | {*self.lost}))

    @property
    def multi_currency(self) -> bool:
        """Whether records say their currency themselves."""
        return "CurrencyIsoCode" in self.deal.fields

    @property
    def rates(self) -> str | None:
        """For people: which conversion rates are published; None where there is one currency."""
        if CURRENCY.name not in self.objects:
            return None
        if DATED_RATE.name in self.objects:
            return "dated rates by close date; the current rate before a currency's first dated one"
        return (
            "current rates only: the org dates none, or hides DatedConversionRate from the integration user"
        )

    def problems(self) -> tuple[str, ...]:
        """One sentence, with the fix, for each object that should be readable and is not, wholly or in part."""
        lines = [
            f"{name} is not readable: give the integration user Read and View All on it"
            for name in self.closed
        ]
        for item in self.objects.values():
            if item.missing:
                lines.append(
                    f"{item.name} is readable without {', '.join(item.missing)}: give the integration user "
                    "read access to these fields (field-level security, best in a permission set)"
                )
            if item.left_out:
                lines.append(
                    f"{item.name} has too many custom fields for one query: {', '.join(item.left_out)} left out"
                )
        return tuple(lines)


async def read_schema(
    reader: SalesforceReader, also: tuple[str, ...] = (), known: tuple[str, ...] = ()
) -> OrgSchema:
    """Describes every object; AccessRefused when there are no opportunities to be read.

    ``also`` names further fields of the opportunity that must be read; ``known`` further objects that were found
    before, which spares asking for them one after the other.
    """
    deal = replace(OPPORTUNITY, fields=tuple(dict.fromkeys((*OPPORTUNITY.fields, *also))))
    seen: Seen = {}
    await _see(reader, seen, (*(item.name for item in ALL), *known))
    first = one_hop(seen[OPPORTUNITY.name])
    await _see(reader, seen, (each.name for each in first))
    second = two_hops(first, seen)
    others = {each.name for each in (*first, *second)}
    beside = {each.name: looked_up(each, seen, others) for each in first}
    await _see(reader, seen, (*others, *(name for ways in beside.values() for name in ways.values())))
    wanted = (deal, *ALL[1:], *map(_wanted, (*first, *second)))
    objects = {
        item.name: object_schema(item, told, _shown(beside.get(item.name, {}), seen))
        for item in wanted
        if (told := seen[item.name]) is not None
    }
    if ACCOUNT.name not in objects and OPPORTUNITY.name in objects:
        objects[OPPORTUNITY.name] = objects[OPPORTUNITY.name].without(ACCOUNT_NAME)
    absent = tuple(item.name for item in ALL if item.name not in objects)
    return OrgSchema(objects, absent, custom=tuple(sorted(seen.keys() - {item.name for item in ALL})))


async def _see(reader: SalesforceReader, seen: Seen, names: Iterable[str]) -> None:
    """Describes, at once, what was not yet."""
    new = [name for name in dict.fromkeys(names) if name not in seen]
    seen.update(zip(new, await together(*(_described(reader, name) for name in new)), strict=True))


async def _described(reader: SalesforceReader, name: str) -> Description | None:
    try:
        return await reader.describe(name)
    except SchemaChanged:
        return None


def _wanted(found: Related) -> Wanted:
    fields = ("Id", "IsDeleted", found.parent, "SystemModstamp")
    return Wanted(found.name, fields, parent=found.parent, custom=True)


def _shown(ways: Mapping[str, str], seen: Seen) -> dict[str, Description]:
    return {way: told for way, name in ways.items() if (told := seen[name]) is not None}


def object_schema(
    wanted: Wanted, described: Description, shown: Mapping[str, Description] | None = None
) -> ObjectSchema:
    """The part of ``wanted`` that is really there, with the custom fields where they are wanted.

    ``shown`` are the objects it looks up whose fields it shows as its own, by relationship.
    """
    by_name = {item.name: item for item in described}
    for way, told in (shown or {}).items():
        by_name |= {f"{way}.{item.name}": item for item in told if item.custom or item.name == STAMPS[0]}
    chosen = [name for name in (*wanted.fields, *wanted.silent) if _is_there(name, by_name)]
    custom, left_out = _custom(by_name) if wanted.custom else ((), ())
    account = [ACCOUNT_NAME] if wanted.name == OPPORTUNITY.name and "AccountId" in by_name else []
    trails = [name for name in by_name if name.endswith(f".{STAMPS[0]}") and by_name[name].filterable]
    return ObjectSchema(
        name=wanted.name,
        fields=tuple(dict.fromkeys((*chosen, *account, *custom, *trails))),
        stamp=_stamp(wanted, by_name),
        custom=custom,
        missing=tuple(name for name in wanted.fields if not _is_there(name, by_name)),
        left_out=left_out,
        parent=wanted.parent,
        types={name: item.type for name, item in by_name.items()},
        replicateable=described.replicateable,
        shown_stamps=tuple(trails),
    )


def _is_there(name: str, by_name: Mapping[str, Described]) -> bool:
    """Whether the field, or the lookup that a path begins with, can be read."""
    first, _, rest = name.partition(".")
    return name in by_name or (bool(rest) and f"{first.removesuffix('__r')}{CUSTOM}" in by_name)


def _stamp(wanted: Wanted, by_name: Mapping[str, Described]) -> str:
    """The first time field that may be filtered by."""
    usable = (name for name in wanted.stamps if name in by_name and by_name[name].filterable)
    return next(usable, wanted.stamps[-1])


def _custom(by_name: Mapping[str, Described]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = [name for name, item in by_name.items() if item.custom and item.type not in _UNREADABLE]
    kept: list[str] = []
    room = LONGEST_CUSTOM
    for name in names:
        room -= len(name) + 4
        if room < 0:
            break
        kept.append(name)
    return tuple(kept), tuple(names[len(kept) :])

"""Five organisations that record what a deal is about in five ways, with the truth planted beside the records.

Nothing here knows how links are discovered: a link is planted first, then written down as that organisation's people
would. Around them stands what must not be taken for a link: keys of standards, part numbers, forms with an example key,
clones, renewals, lost deals, keys nobody knows, similar products.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from tests.risk_engine.company import NOW

from troth_contracts import topics
from troth_contracts.codec import OutRecord, encode_state
from troth_contracts.crm import Deal, LineItem, Product, RelatedRecord, reference_key
from troth_contracts.jira import CrmReference, Issue, Version
from troth_contracts.values import Contract, Money

PROJECTS = ("ATL", "BOR", "CLD", "K2")
STANDARDS = ("ISO-27001", "SHA-256", "UTF-8", "COVID-19")
"""In every site issues with these very keys exist, so that resolving alone does not save anybody."""
DEALS = 160
ISSUES = 140
_ACCOUNTS = [
    f"{tree} {trade}"
    for tree in ("Elm", "Oak", "Ash", "Fir", "Yew")
    for trade in ("Bank", "Rail", "Care", "Mill")
]
_WORK = (
    "Single sign-on",
    "Role mapping",
    "Export of journals",
    "Offline mode",
    "Nightly import",
    "Two-step approval",
)
_JIRA = "https://jira.example/browse/"


@dataclass
class PromiseOrg:
    """One organisation: its records, and which issues its deals are about."""

    name: str
    rng: random.Random
    records: list[OutRecord] = field(default_factory=list)
    truth: set[tuple[str, str]] = field(default_factory=set)
    """(deal, issue) of deals in force."""
    traps: dict[str, set[str]] = field(default_factory=dict)
    """Deals (keys) by the trap they are."""
    issues: dict[str, Issue] = field(default_factory=dict)
    references: dict[str, list[CrmReference]] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)
    """Present keys by former ones."""
    count: int = 0

    @property
    def org(self) -> str:
        return f"00D{self.name}"

    @property
    def site(self) -> str:
        return f"{self.name}.test"

    def add_issue(self, key: str, **fields: Any) -> Issue:
        number = str(10_000 + len(self.issues))
        issue = Issue(
            site_id=self.site,
            id=number,
            issue_key=key,
            project_id=str(
                1 + sorted({*PROJECTS, "ISO", "SHA", "UTF", "COVID"}).index(key.partition("-")[0])
            ),
            project_key=key.partition("-")[0],
            type_name="Story",
            status_id="1",
            status_category="new",
            summary=f"Work on {key}",
            estimate=Decimal(3),
        )
        self.moved |= dict.fromkeys(fields.get("former_keys", ()), key)
        self.issues[key] = msgspec.structs.replace(issue, **fields)
        return self.issues[key]

    def new_deal(self, **fields: Any) -> Deal:
        """A won deal of some customer, with a promised date and no word about any issue."""
        self.count += 1
        account = self.rng.choice(_ACCOUNTS)
        created = NOW - timedelta(days=self.rng.randint(20, 200))
        deal = Deal(
            org_id=self.org,
            id=f"006{self.name[:2]}{self.count:010}AAA",
            name=f"{account} - {self.rng.choice(_WORK)} {_letters(self.count)}",
            account_id=f"001{_ACCOUNTS.index(account):012}AAA",
            account_name=account,
            probability=Decimal(100),
            amount=Money(amount=Decimal(1_000 * self.rng.randint(5, 90)), currency="EUR"),
            is_closed=True,
            is_won=True,
            close_date=date(2026, 8, 1),
            created_at=created,
            custom={"Promised_Date__c": "2026-12-18"} | self._other_fields(),
            description=self._chatter(),
        )
        return msgspec.structs.replace(deal, **fields)

    def put(self, deal: Deal, *issues: str, trap: str = "") -> None:
        """Publishes the deal; ``issues`` (keys) are what it is truly about."""
        self.records.append(self.state(topics.OPPORTUNITIES, deal.key, deal))
        self.truth |= {(deal.key, self.issues[key].key) for key in issues}
        if trap:
            self.traps.setdefault(trap, set()).add(deal.key)

    def state(self, topic: topics.Topic, key: str, body: Contract) -> OutRecord:
        version = int(NOW.timestamp() * 1000) - 3_600_000
        return encode_state(topic, key, body, version=version, source="test")

    def finish(self) -> "PromiseOrg":
        """Writes the issues, which may have been told of deals in the meantime, and mixes everything."""
        for key, issue in self.issues.items():
            whole = msgspec.structs.replace(issue, crm_references=tuple(self.references.get(key, ())))
            self.records.append(self.state(topics.ISSUES, whole.key, whole))
        self.records += [self.state(topics.VERSIONS, version.key, version) for version in self.versions]
        self.rng.shuffle(self.records)
        return self

    def _other_fields(self) -> dict[str, str]:
        """Numbers of other kinds; part numbers look like keys, and two in five hit an issue."""
        fields = {
            "Contract_Number__c": f"C-{self.rng.randint(1, 9)}0{self.rng.randint(1, 99)}",
            "Region__c": "North",
        }
        if self.rng.random() < 0.5:
            fields["Item__c"] = f"K2-{self.rng.randint(1, 90)}"
        if self.rng.random() < 0.3:
            fields["Requirement__c"] = self.rng.choice(STANDARDS)
        return fields

    def _chatter(self) -> str:
        words = [
            f"Customer asks for {self.rng.choice(STANDARDS)} and files in UTF-8.",
            f"Part no. ATL-{self.rng.randint(1, 40)}-{self.rng.randint(100, 999)}, quoted in 2026-0{self.rng.randint(1, 9)}.",
            f"Their own ticket is ZZZ-{self.rng.randint(1, 900)}.",
            f"They liked bor-{self.rng.randint(1, 30)} in the demo of last year.",
            "Nothing else was said.",
        ]
        return " ".join(self.rng.sample(words, 2))


def _letters(number: int) -> str:
    """Sets the names of deals apart in letters: "phase BC"."""
    return "phase " + chr(65 + number // 26) + chr(65 + number % 26)


def begin(name: str, seed: int) -> PromiseOrg:
    """A site full of issues, some of them moved here from another project."""
    org = PromiseOrg(name, random.Random(seed))
    for number in range(1, ISSUES // len(PROJECTS) + 1):
        for project in PROJECTS:
            moved = (f"OLD-{number}",) if project == "BOR" and number % 5 == 0 else ()
            org.add_issue(f"{project}-{number}", former_keys=moved)
    for key in STANDARDS:
        org.add_issue(key)
    return org


def key_field() -> PromiseOrg:
    """A custom field holds the keys. Its name says nothing of Jira, and one in ten sellers writes something else."""
    org = begin("fields", 1)

    def write(deal: Deal, keys: list[str]) -> Deal:
        told = [_as_address(org, key) for key in keys]
        text = org.rng.choice((", ", "; ", "\n")).join(told)
        return msgspec.structs.replace(deal, custom=deal.custom | {"Delivery_Reference__c": text})

    _populate(org, write)
    for words in ("tbd", "n/a", "ask Kim", "see contract") * 3:
        deal = org.new_deal()
        org.put(
            msgspec.structs.replace(deal, custom=deal.custom | {"Delivery_Reference__c": words}), trap="words"
        )
    return org.finish()


def custom_object() -> PromiseOrg:
    """Records of a custom object stand between deal and issue; they have numbers of their own."""
    org = begin("object", 2)

    def write(deal: Deal, keys: list[str]) -> Deal:
        rows = [
            RelatedRecord(
                object="Leverans__c",
                id=f"a0B{org.count:06}{place:06}AAA",
                fields={"Name": f"LEV-{org.count * 10 + place}", "Referens__c": key, "Status__c": "Planerad"},
            )
            for place, key in enumerate(keys)
        ]
        return msgspec.structs.replace(deal, related=tuple(rows))

    _populate(org, write)
    return org.finish()


def text_keys() -> PromiseOrg:
    """Sellers write keys into names, next steps, descriptions, lines and a notes field, in Swedish and in English."""
    org = begin("texts", 3)

    def write(deal: Deal, keys: list[str]) -> Deal:
        told = " och ".join(keys)
        match org.rng.randint(0, 4):
            case 0:
                return msgspec.structs.replace(deal, next_step=f"Följ upp {told} med teamet nästa vecka")
            case 1:
                return msgspec.structs.replace(
                    deal, description=f"{deal.description} Delivery is tracked in {told}."
                )
            case 2:
                return msgspec.structs.replace(deal, name=f"{deal.name} ({told})")
            case 3:
                line = LineItem(
                    id=f"00k{org.count:012}AAA", description=f"Levereras med {told}, see {_JIRA}{keys[0]}"
                )
                return msgspec.structs.replace(deal, line_items=(line,))
            case _:
                note = f"Asked engineering, {told} covers it"
                return msgspec.structs.replace(deal, custom=deal.custom | {"Notes__c": note})

    _populate(org, write)
    for _ in range(12):
        form = "Scope: what was agreed\nOwner: who answers for it\nJira: ATL-1\nRisks: what may go wrong and when"
        step = "Fill in the issue before the hand-over, for example ATL-1"
        org.put(org.new_deal(next_step=step, description=form), trap="form")
    return org.finish()


def jira_side() -> PromiseOrg:
    """Deals say nothing; people paste the deal's address or id on the issue. Others paste accounts and strangers."""
    org = begin("urls", 4)

    def write(deal: Deal, keys: list[str]) -> Deal:
        for written in keys:
            key = org.moved.get(written, written)
            place = org.rng.choice(("remote_link", "description", "field:customfield_10200", "comment"))
            org.references.setdefault(key, []).append(CrmReference(place=place, value=deal.id))
        return deal

    _populate(org, write, copies=False)
    for number, key in enumerate(org.rng.sample(sorted(org.issues), 30)):
        stranger = f"006XX{number:010}AAA" if number % 2 else f"001{number % len(_ACCOUNTS):012}AAA"
        org.references.setdefault(key, []).append(CrmReference(place="description", value=stranger))
    return org.finish()


PRODUCTS = (
    "Ledger",
    "Ledger Export",
    "Ledger Export Pro",
    "Köksplan",
    "Route Planner",
    "Archive",
    "Archive Search",
    "Pay Link",
)


def product_versions() -> PromiseOrg:
    """What was sold is a product; what is built is a version, or an epic, of that name."""
    org = begin("products", 5)
    sold = {}
    for number, product in enumerate(PRODUCTS):
        body = Product(org_id=org.org, id=f"01t{number:012}AAA", name=product, code=f"P{number}")
        org.records.append(org.state(topics.REFERENCE, reference_key(body), body))
        sold[product] = _epic(org, product, number) if number % 4 == 3 else _releases(org, product, number)
    for _ in range(DEALS):
        number = org.rng.randrange(len(PRODUCTS))
        releases = sold[PRODUCTS[number]]
        which = org.rng.choice(sorted(releases))
        line = LineItem(
            id=f"00k{org.count:012}AAA", product_id=f"01t{number:012}AAA", description=which or None
        )
        org.put(org.new_deal(line_items=(line,)), *releases[which])
    for _ in range(20):
        line = LineItem(
            id=f"00k{org.count:012}AAA", product_id="01tunknown00000AAA", description="Training, 2 days"
        )
        org.put(org.new_deal(line_items=(line,)), trap="other product")
    return org.finish()


def _releases(org: PromiseOrg, product: str, number: int) -> dict[str, list[str]]:
    """By what the line says, the issues meant: nothing said means the next release, a number that release."""
    releases = {}
    for minor, (released, archived) in enumerate(
        ((True, False), (False, True), (False, False), (False, False))
    ):
        version = Version(
            site_id=org.site,
            id=str(500 + number * 10 + minor),
            project_id="1",
            name=f"{product.upper() if minor == 3 else product} v2.{minor}",
            released=released,
            archived=archived,
            release_date=date(2026, 6, 30) + timedelta(days=90 * minor),
        )
        org.versions.append(version)
        keys = [f"{PROJECTS[number % 4]}-{1_000 + number * 100 + minor * 10 + place}" for place in range(3)]
        for key in keys:
            org.add_issue(key, fix_version_ids=(version.id,))
        if not released and not archived:
            releases["" if minor == 2 else f"as of 2.{minor}"] = keys
    return releases


def _epic(org: PromiseOrg, product: str, number: int) -> dict[str, list[str]]:
    key = f"{PROJECTS[number % 4]}-{2_000 + number}"
    org.add_issue(key, type_name="Epic", summary=f"{product} 3", estimate=None)
    org.add_issue(
        f"{PROJECTS[number % 4]}-{2_100 + number}",
        type_name="Epic",
        summary=f"{product} done",
        status_category="done",
    )
    org.add_issue(
        f"{PROJECTS[number % 4]}-{2_200 + number}", type_name="Epic", summary=f"Rewrite of {product}"
    )
    return {"": [key]}


ORGS: tuple[Callable[[], PromiseOrg], ...] = (
    key_field,
    custom_object,
    text_keys,
    jira_side,
    product_versions,
)


def _populate(org: PromiseOrg, write: Callable[[Deal, list[str]], Deal], *, copies: bool = True) -> None:
    """Most deals are about one to three issues, some about one that many customers share, some about none."""
    shared = "ATL-5"
    for number in range(DEALS):
        keys = [shared] if number % 8 == 0 else [] if number % 8 == 1 else _some(org)
        deal = org.new_deal()
        org.put(write(deal, [_old_key(org, key) for key in keys]) if keys else deal, *keys)
    for _ in range(6):
        _lost_and_sold_again(org, write)
        org.put(write(org.new_deal(), [f"ATL-{org.rng.randint(5_000, 9_000)}"]), trap="unknown key")
        if copies:
            _cloned(org, write, "{} (copy)", "clone")
            _cloned(org, write, "{} Renewal 2027", "renewal")


def _some(org: PromiseOrg) -> list[str]:
    return org.rng.sample([key for key in org.issues if key not in STANDARDS], org.rng.randint(1, 3))


def _old_key(org: PromiseOrg, key: str) -> str:
    """Who wrote it before the issue moved wrote its former key."""
    former = org.issues[key].former_keys
    return former[0] if former else key


def _cloned(org: PromiseOrg, write: Callable[[Deal, list[str]], Deal], name: str, trap: str) -> None:
    """The clone takes every field along; nobody promised the issue to it."""
    keys = _some(org)
    original = write(org.new_deal(), keys)
    org.put(original, *keys)
    fresh = org.new_deal()
    copied = msgspec.structs.replace(
        original, id=fresh.id, name=name.format(original.name), created_at=datetime(2026, 8, 30, tzinfo=UTC)
    )
    org.put(copied, trap=trap)


def _lost_and_sold_again(org: PromiseOrg, write: Callable[[Deal, list[str]], Deal]) -> None:
    """The second attempt means the same work as the lost first one."""
    keys = _some(org)
    won = write(org.new_deal(created_at=NOW - timedelta(days=10)), keys)
    org.put(won, *keys)
    fresh = org.new_deal()
    lost = msgspec.structs.replace(
        won, id=fresh.id, created_at=NOW - timedelta(days=300), is_won=False, probability=Decimal(0)
    )
    org.put(lost, trap="lost")


def _as_address(org: PromiseOrg, key: str) -> str:
    return f"{_JIRA}{key}" if org.rng.random() < 0.2 else key


def all_orgs() -> Iterator[PromiseOrg]:
    """All five."""
    for build in ORGS:
        yield build()

"""A Salesforce org being built: people, accounts, products and deals. ``render`` writes the simulator's seed file."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from troth_sandbox.world.deals import STAGES, DealDraft, history_row, line_item, opportunity, salesforce_time
from troth_sandbox.world.ids import SalesforceIds
from troth_sandbox.world.issue_story import Record

CURRENCIES = {"USD": 1.0, "EUR": 0.92, "SEK": 10.4, "GBP": 0.79}
"""Units per corporate currency (USD)."""

OBJECTS = (
    "Opportunity",
    "OpportunityLineItem",
    "OpportunityContactRole",
    "OpportunityTeamMember",
    "OpportunityHistory",
    "Account",
    "Contact",
    "User",
    "Product2",
    "OpportunityStage",
    "CurrencyType",
)


@dataclass(frozen=True)
class Named:
    """A reference record that deals point to."""

    name: str
    id: str


class CrmOrg:
    """Collects records. Reference records are as old as ``born``, a year and a half before today."""

    def __init__(self, today: date) -> None:
        self._ids = SalesforceIds()
        self._records: dict[str, list[Record]] = defaultdict(list)
        self._born = salesforce_time(datetime.combine(today - timedelta(days=540), time(8), UTC))
        self.org_id = self._ids.next("Organization")
        self.sellers: list[str] = []
        self.accounts: list[Named] = []
        self.products: list[Named] = []
        self._add_stages()
        self._add_currencies()

    @property
    def deal_count(self) -> int:
        """Number of opportunities so far."""
        return len(self._records["Opportunity"])

    def add_user(self, name: str, title: str) -> str:
        """A user; returns the id."""
        login = "".join(char if char.isalnum() else "." for char in name.lower())
        fields = {"Name": name, "Title": title, "IsActive": True, "Username": f"{login}@example.com"}
        return self._reference("User", fields | {"Email": f"{login}@example.com"})

    def add_seller(self, name: str, title: str = "Account Executive") -> str:
        """A user who owns deals; returns the id."""
        self.sellers.append(self.add_user(name, title))
        return self.sellers[-1]

    def add_account(self, name: str, industry: str | None = None) -> Named:
        """A customer."""
        account = Named(name, self._reference("Account", {"Name": name, "Industry": industry}))
        self.accounts.append(account)
        return account

    def add_contact(self, name: str, account_id: str) -> str:
        """A person at a customer; returns the id."""
        fields = {"Name": name, "LastName": name, "AccountId": account_id}
        return self._reference("Contact", fields)

    def add_product(self, name: str, family: str) -> Named:
        """A product."""
        code = "".join(part[0] for part in name.split()).upper()
        fields = {"Name": name, "Family": family, "ProductCode": code, "IsActive": True}
        product = Named(name, self._reference("Product2", fields))
        self.products.append(product)
        return product

    def add_deal(self, deal: DealDraft) -> str:
        """A deal with its lines, people and history; returns the opportunity's id."""
        deal_id = self._ids.next("Opportunity")
        self._records["Opportunity"].append(opportunity(deal, deal_id))
        for order, line in enumerate(deal.lines, start=1):
            self._add_part("OpportunityLineItem", deal_id, line_item(deal, line, order))
        for step in deal.steps if deal.keeps_history else ():
            self._add_part("OpportunityHistory", deal_id, history_row(deal, step))
        self._add_people(deal, deal_id)
        return deal_id

    def render(self) -> Record:
        """The seed file's content."""
        return {
            "org_id": self.org_id,
            "objects": {name: self._records[name] for name in OBJECTS},
            "custom_fields": {
                "Opportunity": [
                    {"name": "Promised_Date__c", "type": "date", "label": "Promised date"},
                    {"name": "Jira_Key__c", "type": "string", "label": "Jira key"},
                ]
            },
            "auth": {"client_id": "sandbox-client", "client_secret": "sandbox-secret"},
        }

    def _add_people(self, deal: DealDraft, deal_id: str) -> None:
        at = salesforce_time(deal.created)
        stamps = {"IsDeleted": False, "CreatedDate": at, "LastModifiedDate": at, "SystemModstamp": at}
        if deal.engineer_id:
            fields = {"UserId": deal.engineer_id, "TeamMemberRole": "Solution Engineer"}
            self._add_part("OpportunityTeamMember", deal_id, fields | stamps)
        if deal.contact_id:
            role = {"ContactId": deal.contact_id, "Role": "Decision Maker", "IsPrimary": True}
            self._add_part("OpportunityContactRole", deal_id, role | stamps)

    def _add_part(self, name: str, deal_id: str, fields: Record) -> None:
        self._records[name].append({"Id": self._ids.next(name), "OpportunityId": deal_id} | fields)

    def _reference(self, name: str, fields: Record) -> str:
        record_id = self._ids.next(name)
        stamps = {"CreatedDate": self._born, "LastModifiedDate": self._born, "SystemModstamp": self._born}
        self._records[name].append({"Id": record_id} | fields | stamps)
        return record_id

    def _add_stages(self) -> None:
        for order, stage in enumerate(STAGES.values(), start=1):
            fields = {
                "ApiName": stage.name,
                "MasterLabel": stage.name,
                "IsActive": True,
                "SortOrder": order,
                "IsClosed": stage.is_closed,
                "IsWon": stage.is_won,
                "DefaultProbability": stage.probability,
                "ForecastCategory": stage.category,
                "ForecastCategoryName": stage.category_name,
            }
            self._reference("OpportunityStage", fields)

    def _add_currencies(self) -> None:
        for code, rate in CURRENCIES.items():
            fields = {"IsoCode": code, "ConversionRate": rate, "DecimalPlaces": 2, "IsActive": True}
            self._reference("CurrencyType", fields | {"IsCorporate": code == "USD"})

"""An org behind the real network: the Salesforce simulator as a process, and the means to change it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.crm_sync.fakes import ORG_ID, record_id

from troth_sandbox.processes import ChildProcess

CLIENT = {"client_id": "integration", "client_secret": "integration-secret"}
HISTORY_START = "2026-01-05T09:00:00.000+0000"


class SimulatedOrg:
    """The simulator's controls, by name of object and id."""

    def __init__(self, api_port: int, admin_port: int, ca: Path) -> None:
        self.url = f"https://127.0.0.1:{api_port}"
        self.ca = ca
        self.admin = f"http://127.0.0.1:{admin_port}/admin"
        self._http = httpx.Client(base_url=self.admin, timeout=30, trust_env=False)

    def put(self, name: str, row_id: str | None = None, /, **fields: Any) -> str:
        """Insert or change a record; a field `stamp` forces its SystemModstamp."""
        stamp = fields.pop("stamp", None)
        body = {**fields, **({"Id": row_id} if row_id else {})}
        return str(
            self._call("POST", f"/records/{name}", json=body, params={"stamp": stamp} if stamp else {})["Id"]
        )

    def delete(self, name: str, row_id: str, *, hard: bool = False) -> None:
        self._call("DELETE", f"/records/{name}/{row_id}", params={"hard": hard})

    def undelete(self, name: str, row_id: str) -> None:
        self._call("POST", f"/undelete/{name}/{row_id}")

    def expire_sessions(self) -> None:
        self._call("POST", "/sessions/expire")

    def faults(self, *faults: dict[str, Any]) -> None:
        self._call("POST", "/faults", json=list(faults))

    def no_faults(self) -> None:
        self._call("DELETE", "/faults")

    def advance(self, seconds: float) -> None:
        self._call("POST", "/clock", json={"advance_seconds": seconds})

    def truth(self, name: str, fields: Iterable[str] = ()) -> list[dict[str, Any]]:
        """Every row; only some of its fields where that matters."""
        named = ",".join(fields)
        return list(self._call("GET", f"/truth/{name}", params={"fields": named} if named else {}))

    def journal(self) -> list[dict[str, Any]]:
        return list(self._call("GET", "/journal"))

    def transact(self, operations: list[dict[str, Any]]) -> None:
        """Several statements that are seen at once."""
        self._call("POST", "/transactions", json={"operations": operations, "commit_after_seconds": 0})

    def permit(self, permission: dict[str, Any]) -> None:
        """Take a permission away or give it back; see the simulator's `/permissions`."""
        self._call("POST", "/permissions", json=permission)

    def clock(self) -> str:
        """The org's time."""
        return str(self._call("GET", "/clock")["now"])

    def forget_journal(self) -> None:
        self._call("DELETE", "/journal")

    def close(self) -> None:
        self._http.close()

    def _call(self, method: str, path: str, **more: Any) -> Any:
        response = self._http.request(method, path, **more)
        response.raise_for_status()
        return response.json()


@contextmanager
def simulated_org(folder: Path, seed: dict[str, Any], *, patience: float = 60) -> Iterator[SimulatedOrg]:
    """A running simulator with this seed; a large one takes its time to start."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "seed.json").write_text(json.dumps(seed))
    arguments = [
        "--port",
        "0",
        "--admin-port",
        "0",
        "--seed",
        str(folder / "seed.json"),
        "--tls-dir",
        str(folder),
    ]
    with ChildProcess("salesforce", "troth_sandbox.salesforce", arguments, environ=os.environ) as process:
        ports = process.wait_ready(patience)
        org = SimulatedOrg(int(ports["api"]), int(ports["admin"]), folder / "ca.pem")
        try:
            yield org
        finally:
            org.close()


def seed(
    deals: int,
    *,
    items_each: int = 1,
    stamp: str | None = None,
    extra: dict[str, list[dict[str, Any]]] | None = None,
) -> dict[str, Any]:
    """An org with some deals, each with line items and one history row."""
    objects: dict[str, list[dict[str, Any]]] = {
        "Account": [{"Id": record_id("Account", 1), "Name": "Acme Ltd"}],
        "User": [
            {"Id": record_id("User", 1), "Name": "A Seller", "Email": "seller@example.com", "IsActive": True}
        ],
        "Product2": [{"Id": record_id("Product2", 1), "Name": "SSO", "ProductCode": "SSO", "IsActive": True}],
        "CurrencyType": [_currency(1, "EUR", 1, corporate=True), _currency(2, "SEK", 11.5, corporate=False)],
        "OpportunityStage": [_stage(1, "Prospecting", 10), _stage(2, "Closed Won", 100)],
        "Opportunity": [_deal(number, stamp) for number in range(1, deals + 1)],
        "OpportunityLineItem": list(_items(deals, items_each, stamp)),
        "OpportunityHistory": [_history(number) for number in range(1, deals + 1)],
    }
    return {
        "org_id": ORG_ID,
        "objects": {**objects, **(extra or {})},
        "custom_fields": {
            "Opportunity": [
                {"name": "Promised_Date__c", "type": "date", "label": "Promised date"},
                {"name": "Jira_Key__c", "type": "string", "label": "Jira key"},
            ]
        },
        "auth": CLIENT,
    }


def _currency(number: int, code: str, rate: float, *, corporate: bool) -> dict[str, Any]:
    key = record_id("CurrencyType", number)
    return {"Id": key, "IsoCode": code, "ConversionRate": rate, "IsCorporate": corporate, "IsActive": True}


def _stage(number: int, name: str, probability: int) -> dict[str, Any]:
    won = probability == 100
    return {
        "Id": record_id("OpportunityStage", number), "ApiName": name, "MasterLabel": name, "IsActive": True,
        "IsClosed": won, "IsWon": won, "DefaultProbability": probability,
        "ForecastCategory": "Closed" if won else "Pipeline", "SortOrder": number,
    }  # fmt: skip


def _deal(number: int, stamp: str | None) -> dict[str, Any]:
    fields = {
        "Id": record_id("Opportunity", number), "Name": f"Deal {number}", "AccountId": record_id("Account", 1),
        "OwnerId": record_id("User", 1), "StageName": "Prospecting", "Probability": 10, "Amount": 1000.5 + number,
        "CurrencyIsoCode": "EUR", "CloseDate": "2026-12-24", "NextStep": "call back", "Description": "A description.",
        "Promised_Date__c": "2027-01-31", "Jira_Key__c": f"APA-{number}",
    }  # fmt: skip
    return {**fields, **({"SystemModstamp": stamp} if stamp else {})}


def _items(deals: int, each: int, stamp: str | None) -> Iterable[dict[str, Any]]:
    for number in range(1, deals * each + 1):
        yield {
            "Id": record_id("OpportunityLineItem", number), "OpportunityId": record_id("Opportunity", 1 + number % deals),
            "Product2Id": record_id("Product2", 1), "Quantity": 2, "UnitPrice": 50, "TotalPrice": 100,
            "CurrencyIsoCode": "EUR", "ServiceDate": "2027-01-31", **({"SystemModstamp": stamp} if stamp else {}),
        }  # fmt: skip


def _history(number: int) -> dict[str, Any]:
    return {
        "Id": record_id("OpportunityHistory", number), "OpportunityId": record_id("Opportunity", number),
        "CreatedDate": HISTORY_START, "StageName": "Prospecting", "Probability": 10, "Amount": 1000.5 + number,
        "CloseDate": "2026-12-24", "ForecastCategory": "Pipeline",
    }  # fmt: skip

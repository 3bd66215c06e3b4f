"""OpportunityHistory: a row for each change of stage, amount, probability or close date [opphist]."""

from troth_sandbox.salesforce.schema import ObjectType
from troth_sandbox.salesforce.values import Row, Scalar, blank

TRACKED = ("StageName", "Amount", "Probability", "CloseDate")
COPIED = (*TRACKED, "ExpectedRevenue", "ForecastCategory", "CurrencyIsoCode")


def changed_fields(before: Row | None, after: Row) -> frozenset[str]:
    """The tracked fields that differ; all of them for a new opportunity.

    That a new opportunity gets its first row at once is not documented (U).
    """
    return frozenset(name for name in TRACKED if before is None or before[name] != after[name])


def history_row(kind: ObjectType, before: Row | None, after: Row, now: str) -> dict[str, Scalar]:
    """The row for a change at `now`; its Prev fields are empty for a new opportunity."""
    row = blank(kind) | {name: after[name] for name in COPIED if name in kind.fields}
    row |= {"OpportunityId": after["Id"], "CreatedDate": now, "SystemModstamp": now}
    row["CreatedById"] = after["LastModifiedById"]
    if before is not None:
        row |= {"PrevAmount": before["Amount"], "PrevCloseDate": before["CloseDate"]}
    return row

"""Fields nobody writes: they follow from other fields, from the stage definition, or from child rows.

A value that a seed or a write gives explicitly is kept until the field it follows from changes.
"""

from collections.abc import Callable, Mapping
from datetime import date

from troth_sandbox.salesforce.schema import ObjectType
from troth_sandbox.salesforce.values import Row, Scalar, blank

FOLLOWS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Opportunity": {
        "StageName": (
            "IsClosed",
            "IsWon",
            "Probability",
            "ForecastCategory",
            "ForecastCategoryName",
            "ExpectedRevenue",
        ),
        "ForecastCategoryName": ("ForecastCategory",),
        "Amount": ("ExpectedRevenue",),
        "Probability": ("ExpectedRevenue",),
        "CloseDate": ("Fiscal", "FiscalQuarter", "FiscalYear"),
    },
    "OpportunityLineItem": {"Quantity": ("TotalPrice", "Subtotal"), "UnitPrice": ("TotalPrice", "Subtotal")},
    "OpportunityStage": {"ForecastCategory": ("ForecastCategoryName",)},
    "User": {"FirstName": ("Name",), "LastName": ("Name",)},
    "Contact": {"FirstName": ("Name",), "LastName": ("Name",)},
}
"""Per object: a changed field and the fields whose explicit values it replaces."""

Lookup = Callable[[str], Row | None]


def merge(kind: ObjectType, given: Row, changes: Row) -> dict[str, Scalar]:
    """What is said about a row after a write: the new values, without old ones that they outdate."""
    merged = dict(given)
    for source, targets in FOLLOWS.get(kind.name, {}).items():
        if source in changes and changes[source] != given.get(source):
            for target in targets:
                merged.pop(target, None)
    return merged | dict(changes)


def complete(kind: ObjectType, given: Row, stage: Lookup, has_lines: Callable[[], bool]) -> Row:
    """The whole row: every field of the object, derived where nothing was given."""
    row = blank(kind)
    row.update(given)
    derived: Row = {}
    if kind.name == "Opportunity":
        derived = _opportunity(kind, row, given, stage, has_lines)
    elif kind.name == "OpportunityLineItem":
        derived = _line_item(row)
    elif kind.name == "OpportunityStage":
        derived = {
            "ForecastCategoryName": _label(kind, row["ForecastCategory"]),
            "ApiName": row["MasterLabel"],
        }
    elif kind.name in {"User", "Contact"}:
        derived = {
            "Name": " ".join(str(row[part]) for part in ("FirstName", "LastName") if row[part]) or None
        }
    row.update({name: value for name, value in derived.items() if name not in given})
    return row


def _opportunity(kind: ObjectType, row: Row, given: Row, stage: Lookup, has_lines: Callable[[], bool]) -> Row:
    definition = stage(str(row["StageName"])) or {}
    category = given.get("ForecastCategory") or _value(kind, given.get("ForecastCategoryName"))
    category = category or definition.get("ForecastCategory")
    probability = given.get("Probability", definition.get("DefaultProbability"))
    return {
        "IsClosed": bool(definition.get("IsClosed")),
        "IsWon": bool(definition.get("IsWon")),
        "Probability": probability,
        "ForecastCategory": category,
        "ForecastCategoryName": _label(kind, category),
        "ExpectedRevenue": _share(row["Amount"], probability),
        "HasOpportunityLineItem": has_lines(),
        **_fiscal(row["CloseDate"]),
    }


def _share(amount: Scalar, percent: Scalar) -> Scalar:
    if not isinstance(amount, float) or not isinstance(percent, int | float):
        return None
    return round(amount * percent / 100, 2)


def _fiscal(close_date: Scalar) -> Row:
    """Fiscal periods of a year that starts in January."""
    if not isinstance(close_date, str):
        return {}
    day = date.fromisoformat(close_date)
    quarter = (day.month + 2) // 3
    return {"FiscalQuarter": quarter, "FiscalYear": day.year, "Fiscal": f"{day.year} {quarter}"}


def _line_item(row: Row) -> Row:
    quantity, price, discount = row["Quantity"], row["UnitPrice"], row["Discount"]
    if not isinstance(quantity, float) or not isinstance(price, float):
        return {}
    subtotal = round(quantity * price, 2)
    rest = 100 - discount if isinstance(discount, float) else 100
    return {"Subtotal": subtotal, "TotalPrice": round(subtotal * rest / 100, 2)}


def _label(kind: ObjectType, category: Scalar) -> Scalar:
    choices = kind.fields["ForecastCategory"].choices
    return next((choice.label for choice in choices if choice.value == category), None)


def _value(kind: ObjectType, name: Scalar) -> Scalar:
    choices = kind.fields["ForecastCategory"].choices
    return next((choice.value for choice in choices if choice.label == name), None)

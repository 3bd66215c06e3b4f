"""Describe answers: the vendor's full form of the objects and fields of the schema [cci-opp]."""

from typing import Any

from troth_sandbox.salesforce.access import Source
from troth_sandbox.salesforce.schema import ID_TYPES, TEXT_TYPES, Choice, Field, ObjectType

TRAITS = [
    "activateable",
    "createable",
    "custom",
    "customSetting",
    "deepCloneable",
    "deletable",
    "deprecatedAndHidden",
    "feedEnabled",
    "hasSubtypes",
    "isInterface",
    "isSubtype",
    "layoutable",
    "mergeable",
    "mruEnabled",
    "queryable",
    "replicateable",
    "retrieveable",
    "searchable",
    "triggerable",
    "undeletable",
    "updateable",
]
ALWAYS = frozenset({"queryable", "retrieveable"})
SOAP_TYPES = {
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "double": "xsd:double",
}
UNPERMISSIONED = frozenset(
    {"Name", "CloseDate", "StageName", "OwnerId", "ForecastCategoryName", "Pricebook2Id", "ContactId"}
    | {"Role", "IsPrimary"}
)
"""Updateable fields without field-level security, as recorded; others of that kind are not known to us."""
PERMISSIONED = frozenset({"ExpectedRevenue"})
UNFILTERED_LOOKUPS = frozenset(
    {"OwnerId", "CreatedById", "LastModifiedById", "ContactId", "OpportunityId", "MasterRecordId"}
)


def summary(kind: ObjectType, prefix: str) -> dict[str, Any]:
    """An object as `/sobjects` lists it."""
    here = f"{prefix}/sobjects/{kind.name}"
    traits = {name: name in kind.traits or name in ALWAYS for name in TRAITS}
    return traits | {
        "associateEntityType": None,
        "associateParentEntity": None,
        "keyPrefix": kind.prefix,
        "label": kind.label,
        "labelPlural": kind.plural,
        "name": kind.name,
        "urls": {"rowTemplate": f"{here}/{{ID}}", "describe": f"{here}/describe", "sobject": here},
    }


def description(org: Source, kind: ObjectType, prefix: str, host: str) -> dict[str, Any]:
    """The whole describe of an object; `host` is where people work with it, such as `https://org.example`."""
    return summary(kind, prefix) | {
        "urls": _urls(kind, prefix, host),
        "compactLayoutable": "layoutable" in kind.traits,
        "searchLayoutable": "searchable" in kind.traits,
        **dict.fromkeys(
            (
                "defaultImplementation",
                "extendedBy",
                "extendsInterfaces",
                "implementedBy",
                "implementsInterfaces",
            )
        ),
        **dict.fromkeys(("listviewable", "lookupLayoutable", "networkScopeFieldName")),
        "actionOverrides": [],
        "childRelationships": _children(org, kind),
        "fields": [_field(org, field) for field in kind.fields.values()],
        "namedLayoutInfos": [],
        "recordTypeInfos": [_master_record_type(kind, prefix)],
        "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"All {kind.plural.lower()}", "name": "everything"}],
    }


def _urls(kind: ObjectType, prefix: str, host: str) -> dict[str, str]:
    """As recorded [cci-opp]; that an object without a search layout has no list views is a guess (U)."""
    here = f"{prefix}/sobjects/{kind.name}"
    urls = {
        "compactLayouts": f"{here}/describe/compactLayouts",
        "rowTemplate": f"{here}/{{ID}}",
        "uiDetailTemplate": f"{host}/{{ID}}",
        "uiEditTemplate": f"{host}/{{ID}}/e",
        "describe": f"{here}/describe",
        "uiNewRecord": f"{host}/{kind.prefix}/e",
        "quickActions": f"{here}/quickActions",
        "layouts": f"{here}/describe/layouts",
        "sobject": here,
    }
    listed = {"approvalLayouts": f"{here}/describe/approvalLayouts", "listviews": f"{here}/listviews"}
    return urls | listed if "searchable" in kind.traits else urls


def _master_record_type(kind: ObjectType, prefix: str) -> dict[str, Any]:
    layout = f"{prefix}/sobjects/{kind.name}/describe/layouts/012000000000000AAA"
    return {
        "active": True,
        "available": True,
        "defaultRecordTypeMapping": True,
        "developerName": "Master",
        "master": True,
        "name": "Master",
        "recordTypeId": "012000000000000AAA",
        "urls": {"layout": layout},
    }


def _children(org: Source, kind: ObjectType) -> list[dict[str, Any]]:
    return [
        {
            "cascadeDelete": field.cascade,
            "childSObject": child.name,
            "deprecatedAndHidden": False,
            "field": field.name,
            "junctionIdListNames": [],
            "junctionReferenceTo": [],
            "relationshipName": _child_relationship(child, field),
            "restrictedDelete": False,
        }
        for child, field in org.schema.child_references(kind.name)
    ]


def _child_relationship(child: ObjectType, field: Field) -> str | None:
    if field.cascade:
        return child.children or child.plural
    return child.children if field.custom and "custom" in child.traits else None


def _field(org: Source, field: Field) -> dict[str, Any]:
    flags = field.flags
    return _CONSTANT | {
        "aggregatable": "S" in flags and field.type != "boolean",
        "byteLength": _bytes(field),
        "calculated": bool(field.formula),
        "calculatedFormula": field.formula or None,
        "compoundFieldName": "Fiscal" if field.name in {"FiscalQuarter", "FiscalYear"} else None,
        "createable": "C" in flags,
        "custom": field.custom,
        "defaultValue": False if field.type == "boolean" else None,
        "defaultedOnCreate": "D" in flags,
        "digits": 8 if field.type == "int" else 0,
        "extraTypeInfo": "plaintextarea" if field.type == "textarea" else None,
        "filterable": field.filterable,
        "groupable": field.groupable,
        "idLookup": field.name in {"Id", "Name"},
        "label": field.label,
        "length": field.length,
        "name": field.name,
        "nameField": field.name == "Name",
        "nillable": "N" in flags,
        "permissionable": field.name in PERMISSIONED or ("U" in flags and field.name not in UNPERMISSIONED),
        "picklistValues": [_choice(choice) for choice in _choices(org, field)],
        "precision": field.precision,
        "referenceTo": [field.target] if field.target else [],
        "relationshipName": field.relationship,
        "restrictedPicklist": field.restricted,
        "scale": field.scale,
        "searchPrefilterable": field.type == "reference" and field.name not in UNFILTERED_LOOKUPS,
        "soapType": SOAP_TYPES.get(field.type, "tns:ID" if field.type in ID_TYPES else "xsd:string"),
        "sortable": field.sortable,
        "type": field.type,
        "updateable": "U" in flags,
    }


_CONSTANT: dict[str, Any] = {
    **dict.fromkeys(
        [
            "aiPredictionField",
            "autoNumber",
            "cascadeDelete",
            "caseSensitive",
            "dependentPicklist",
            "deprecatedAndHidden",
            "displayLocationInDecimal",
            "encrypted",
            "externalId",
            "formulaTreatNullNumberAsZero",
            "highScaleNumber",
            "htmlFormatted",
            "namePointing",
            "polymorphicForeignKey",
            "queryByDistance",
            "restrictedDelete",
            "unique",
            "writeRequiresMasterRead",
        ],
        False,
    ),
    **dict.fromkeys(
        [
            "controllerName",
            "defaultValueFormula",
            "filteredLookupInfo",
            "inlineHelpText",
            "mask",
            "maskType",
            "referenceTargetField",
            "relationshipOrder",
        ]
    ),
}


def _bytes(field: Field) -> int:
    if field.type in TEXT_TYPES:
        # Three bytes per character, but for the compound Fiscal, which is plain ASCII.
        return field.length if field.name == "Fiscal" else 3 * field.length
    return field.length


def _choices(org: Source, field: Field) -> tuple[Choice, ...]:
    """Stages are what the org defines now; other picklists are fixed."""
    if field.name != "StageName":
        return field.choices
    stages = sorted(org.table("OpportunityStage"), key=lambda row: row["SortOrder"] or 0)
    return tuple(Choice(str(row["ApiName"]), str(row["MasterLabel"])) for row in stages if row["IsActive"])


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        "active": True,
        "defaultValue": False,
        "label": choice.label,
        "validFor": None,
        "value": choice.value,
    }

"""The part of SOQL that a sync needs: tokens, tree, parser, binding to the schema, evaluation."""

from troth_sandbox.salesforce.soql.binding import Column
from troth_sandbox.salesforce.soql.evaluate import Result, run
from troth_sandbox.salesforce.soql.parser import parse

__all__ = ["Column", "Result", "parse", "run"]

"""A Salesforce org on the loopback interface, faithful where the vendor's behaviour is known.

Comments marked (U) name behaviour that the vendor does not document; it is a choice, not a fact.
"""

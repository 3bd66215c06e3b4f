"""The rules, pure: vendor documents to contract types, histories to sprint facts. No I/O, no clock."""

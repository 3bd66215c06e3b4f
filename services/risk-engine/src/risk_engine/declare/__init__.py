"""How people put promises into the ledger: through the API, or many at once in a CSV file."""

"""``python -m jira_sync``."""

from jira_sync.cli import main

main()

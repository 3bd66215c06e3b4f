"""``python -m crm_sync``."""

from crm_sync.cli import main

main()

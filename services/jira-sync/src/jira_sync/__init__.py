"""Streams Jira issues and sprint events into Kafka."""

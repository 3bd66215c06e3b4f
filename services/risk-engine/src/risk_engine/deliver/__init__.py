"""Brings what stands in the outbox to Kafka and to the webhook receiver."""

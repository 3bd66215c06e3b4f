"""Streams Salesforce opportunities into Kafka."""

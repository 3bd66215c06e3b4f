"""Types, topics and codec of everything Troth puts on Kafka."""

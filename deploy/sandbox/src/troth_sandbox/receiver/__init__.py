"""A webhook receiver that accepts only what Standard Webhooks says is genuine, and remembers what it accepted."""

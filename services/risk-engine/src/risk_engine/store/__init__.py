"""PostgreSQL: what the topics said, what must be evaluated, what was concluded, and what must go out."""

"""Answers to people's questions: what may be promised, and what an issue is worth."""

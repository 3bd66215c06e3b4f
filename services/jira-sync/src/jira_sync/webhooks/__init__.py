"""Webhooks: received and stored at once, followed later; registered once, and looked after."""

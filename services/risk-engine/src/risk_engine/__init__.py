"""Joins deals with sprints and alerts both sides."""

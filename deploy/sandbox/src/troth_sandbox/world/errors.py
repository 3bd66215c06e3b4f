"""Errors of the world builder.

WorldError
├── FixtureError    public data is missing or not in the shape its README states
└── ScenarioError   the scenario file cannot be read, or asks for teams the world does not have
"""

from __future__ import annotations


class WorldError(Exception):
    """Anything that stops a world from being built."""


class FixtureError(WorldError):
    """Public data is missing or not in the shape its README states."""


class ScenarioError(WorldError):
    """The scenario cannot be read, or asks for a team that the world does not have."""

"""What stops a world from being built; part of the sandbox's tree.

SeedError
├── FixtureError    public data is missing or not in the shape its README states
└── ScenarioError   the scenario file cannot be read, or asks for teams the world does not have
"""

from __future__ import annotations

from troth_sandbox.errors import SeedError


class FixtureError(SeedError):
    """Public data is missing or not in the shape its README states."""


class ScenarioError(SeedError):
    """The scenario cannot be read, or asks for a team that the world does not have."""

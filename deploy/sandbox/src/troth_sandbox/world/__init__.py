"""Worlds for the simulators: who sells what to whom, which teams deliver it, and which promises break."""

from __future__ import annotations

from troth_sandbox.world.build import World, build_world
from troth_sandbox.world.scenario import Scenario, read_scenario

__all__ = ["Scenario", "World", "build_world", "read_scenario"]

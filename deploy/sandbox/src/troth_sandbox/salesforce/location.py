"""Where the org lives: its instance URL can move, and the old host then points to the new one or knows nothing."""

from typing import Literal

OldHost = Literal[301, 404]


class Location:
    """One instance behind several names of the same listener, such as 127.0.0.1 and localhost."""

    def __init__(self) -> None:
        self._host: str | None = None
        self.old_host: OldHost = 301

    def move(self, host: str, old_host: OldHost) -> None:
        """Live at `host` (with its port) from now on."""
        self._host = host
        self.old_host = old_host

    def here(self, asked: str) -> str:
        """The host of the instance, for a caller who asked at `asked`."""
        return self._host or asked

    def gone(self, asked: str) -> bool:
        """True when `asked` is the instance's old host."""
        return self._host is not None and asked != self._host

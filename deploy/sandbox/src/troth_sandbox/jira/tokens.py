"""The tokens of an app: which access tokens live, and the one refresh token that is good."""

LIFE_MS = 3_600_000


class Tokens:
    """Starts with the refresh token of the seed; each use makes a new pair."""

    def __init__(self, refresh_token: str | None) -> None:
        self._refresh = refresh_token
        self._access: dict[str, int] = {}
        self._made = 0

    def rotate(self, refresh_token: str, now: int) -> tuple[str, str] | None:
        """A new access and refresh token; None when this refresh token is not the good one."""
        if self._refresh is None or refresh_token != self._refresh:
            return None
        self._made += 1
        access, self._refresh = f"sandbox-access-{self._made}", f"sandbox-refresh-{self._made}"
        self._access[access] = now + LIFE_MS
        return access, self._refresh

    def lives(self, access_token: str, now: int) -> bool:
        """True within the hour after it was made."""
        return now < self._access.get(access_token, 0)

    def revoke(self) -> None:
        """The grant is gone: no token is good any more, until a new consent that the sandbox does not have."""
        self._refresh = None
        self._access.clear()

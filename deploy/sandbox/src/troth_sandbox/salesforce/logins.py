"""Who may have a session: assertions signed by the connected app, refresh tokens, and the login rate."""

import hashlib
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt

from troth_sandbox.salesforce.clock import SettableClock
from troth_sandbox.salesforce.errors import oauth_error
from troth_sandbox.salesforce.seed import ConnectedApp

LOGINS_PER_HOUR = 3_600
"""Per user; more are refused [login-rate]."""
TOLERANT = timedelta(minutes=5)
"""How far ahead an assertion may expire: what real orgs are seen to accept [pozil]."""
STRICT = timedelta(minutes=3)
"""The same as documented [jwt-flow]."""
LOGIN_HOST = "https://login.salesforce.com"
TEST_HOST = "https://test.salesforce.com"


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token's user, and whether it may be used only once."""

    user_id: str
    rotating: bool


class Logins:
    """Checks what a client shows for a session; every refusal is an OAuthError."""

    def __init__(self, clock: SettableClock, app: ConnectedApp) -> None:
        self._clock = clock
        self._app = app
        self._refresh: dict[str, Refresh] = {}
        self._issued = 0
        self._times: defaultdict[str, deque[datetime]] = defaultdict(deque)

    def count(self, user_id: str) -> None:
        """Count a login. Raises OAuthError over the hourly rate."""
        now, times = self._clock.now(), self._times[user_id]
        while times and now - times[0] >= timedelta(hours=1):
            times.popleft()
        if len(times) >= LOGINS_PER_HOUR:
            raise oauth_error("login_rate")
        times.append(now)

    def username(self, assertion: str, own_host: str) -> str:
        """The user a signed assertion is for. Raises OAuthError; see errors.yaml for the texts."""
        try:
            # Times are judged below, by the org's clock.
            claims = jwt.decode(
                assertion,
                self._app.public_key or "",
                algorithms=["RS256"],
                options={"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
            )
        except (jwt.PyJWTError, ValueError):
            raise oauth_error("invalid_assertion") from None
        if claims.get("iss") != self._app.client_id:
            raise oauth_error("unknown_client")
        self._check_audience(claims.get("aud"), own_host)
        self._check_expiry(claims.get("exp"))
        if not self._app.approved:
            raise oauth_error("not_approved")
        return str(claims.get("sub"))

    def issue_refresh(self, user_id: str, *, rotating: bool) -> str:
        """A new refresh token; the n-th of a run is always the same text."""
        self._issued += 1
        secret = hashlib.sha256(f"{self._app.client_id}/refresh/{self._issued}".encode()).hexdigest()
        token = f"5Aep861{secret}"
        self._refresh[token] = Refresh(user_id, rotating)
        return token

    def redeem(self, token: str) -> tuple[str, str | None]:
        """The user of a refresh token, and the token that replaces it if it rotates. Raises OAuthError."""
        found = self._refresh.get(token)
        if found is None:
            raise oauth_error("expired_token")
        if not found.rotating:
            return found.user_id, None
        del self._refresh[token]
        return found.user_id, self.issue_refresh(found.user_id, rotating=True)

    def revoke(self, token: str) -> str | None:
        """End a refresh token; its user, or None when there is no such token."""
        found = self._refresh.pop(token, None)
        return found.user_id if found else None

    def _check_audience(self, audience: object, own_host: str) -> None:
        if audience == TEST_HOST:
            # External client apps refuse the sandbox login host since Spring '26 [n8n-28990].
            raise oauth_error("app_not_found")
        if not isinstance(audience, str) or audience.rstrip("/") not in {LOGIN_HOST, own_host}:
            raise oauth_error("wrong_audience")

    def _check_expiry(self, expiry: object) -> None:
        now, reach = self._clock.now(), STRICT if self._app.strict_expiry else TOLERANT
        if isinstance(expiry, bool) or not isinstance(expiry, int | float):
            raise oauth_error("invalid_assertion")
        ends = datetime.fromtimestamp(expiry, UTC)
        if ends <= now or ends > now + reach:
            raise oauth_error("expired_assertion")

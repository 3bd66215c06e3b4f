"""The errors of jira-sync, on the chassis's branches.

TransientError
├── JiraUnavailableError   no answer, 5xx or 429 to the end of the tries
│   └── ConsentLostError   the OAuth consent is gone: paused until a person consents again
├── BudgetSpentError       an app's points of this hour are kept for what cannot wait
├── ScanFailedError        paging contradicted itself: nothing of the scan counts, the watermark stays
└── AccessLostError        401 in the middle of a scan: the scan stops, the next start checks the credentials
PoisonError
├── UnreadableError        one issue, board or sprint does not look like the vendor's documents: dead letter
└── ForbiddenError         one entity is hidden from the account (403, 404): quarantined and shown
    └── MissingError       404: it does not exist, or the account may not know that it does
ConfigurationError
├── CredentialsError       Jira does not accept the login
├── AccessMissingError     the account may not use endpoints the service cannot do without; all are named
├── NotSupportedError      the site lacks what this service needs (search removed, another deployment than the login's)
└── StateLostError         data topics are there, the own state topic is empty
"""

from __future__ import annotations

from troth_chassis.errors import ConfigurationError, PoisonError, TransientError


class JiraUnavailableError(TransientError):
    """Jira did not give a usable answer."""


class ConsentLostError(JiraUnavailableError):
    """The refresh token is not accepted any more. Nothing is asked until there is another one."""


class BudgetSpentError(TransientError):
    """The hourly points are past the soft stop, and this can wait."""


class ScanFailedError(TransientError):
    """The pages of a scan cannot be trusted to be complete."""


class AccessLostError(TransientError):
    """Jira refused the credentials in the middle of a scan."""


class UnreadableError(PoisonError):
    """A document that cannot be read; the reason names the field."""


class ForbiddenError(PoisonError):
    """An entity the account may not see."""


class MissingError(ForbiddenError):
    """Jira answered 404 for one entity."""


class CredentialsError(ConfigurationError):
    """The login is not accepted."""


class AccessMissingError(ConfigurationError):
    """A scope or permission the service needs at all times is missing."""


class NotSupportedError(ConfigurationError):
    """The site does not offer an endpoint this service is built on."""


class StateLostError(ConfigurationError):
    """Published data without the state that says how far it goes."""

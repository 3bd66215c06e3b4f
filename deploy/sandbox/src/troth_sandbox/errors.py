"""Everything the sandbox can fail with, in one tree.

SandboxError
├── BrokerError
│   ├── BrokerUnavailableError   this kind of broker cannot run here; the next kind is tried
│   └── BrokerStartError         it should run here and did not
├── DatabaseStartError           PostgreSQL should run here and did not
├── ProcessError
│   ├── ProcessExitedError       a child ended before it was ready
│   └── ProcessDeadlineError     a child was not ready in time
└── SeedError                    a seed, scenario or fixture file does not say what it must
"""


class SandboxError(Exception):
    """Anything that goes wrong in the sandbox; its text is one sentence for the person who started it."""


class BrokerError(SandboxError):
    """No usable Kafka broker of some kind."""


class BrokerUnavailableError(BrokerError):
    """A kind of broker needs something this machine does not have."""


class BrokerStartError(BrokerError):
    """A broker's parts are all here and it did not come up; the text ends with the tail of its log."""


class DatabaseStartError(SandboxError):
    """PostgreSQL did not come up; the text ends with the tail of its log."""


class ProcessError(SandboxError):
    """A child process did not do what it was started for."""


class ProcessExitedError(ProcessError):
    """A child ended before it said that it is ready."""


class ProcessDeadlineError(ProcessError):
    """A child did not say that it is ready within its deadline."""


class SeedError(SandboxError):
    """A seed, scenario or fixture file is missing something or contradicts itself."""

"""The one error tree. A message says what was found, what is allowed and what to do; jobs turn the class into an exit code."""


class MillraceError(Exception):
    """Anything Millrace refuses or cannot do; ``exit_code`` is what a job ends with."""

    exit_code = 1


class ConfigurationError(MillraceError):
    """Settings or definitions are wrong; ``problems`` lists all of them, one sentence each."""

    exit_code = 2

    def __init__(self, problems: list[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class SetupError(MillraceError):
    """The machine lacks something (Java, jars, a port, memory); the message carries the fix."""

    exit_code = 2


class ProofError(MillraceError):
    """A proof or quality gate failed: nothing was published, the last version keeps serving."""

    exit_code = 3


class CoverageError(MillraceError):
    """The ledger has a hole, or tables and ledger disagree: refuse rather than answer wrongly."""

    exit_code = 3


class NothingToDo(MillraceError):
    """There is no work: not a failure."""

    exit_code = 4


class BrokerUnavailable(MillraceError):
    """The Kafka broker cannot be reached or did not acknowledge in time."""


class LeaseHeld(MillraceError):
    """Another process already writes these tables."""

"""Prints the seed of the law tests at the end of the run, so that any failure can be repeated."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    from tests.laws.law import EXAMPLES, SEED

    terminalreporter.write_line(f"laws: {EXAMPLES} examples, repeat with MILLRACE_SEED={SEED}")

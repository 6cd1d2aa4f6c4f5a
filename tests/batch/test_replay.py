"""Which rejected records a replay chooses: a condition of SQL that reaches nothing but the rows."""

import pytest

from jobs.replay_rejected import main
from millrace.keys import load_or_create_keys


@pytest.mark.parametrize("where", ["sorce = 'shop'", "source = ", "EXISTS (SELECT * FROM read_text('/etc/hostname'))", "1; DROP TABLE x"])
def test_a_condition_that_is_none_is_told_and_reaches_no_file(tmp_path, capsys, where):
    load_or_create_keys(tmp_path, "t")
    assert main(["--root", str(tmp_path), "--tenant", "t", "--where", where, "--dry-run"]) == 2
    assert "write a condition over the columns of log/rejected" in capsys.readouterr().err


def test_an_empty_log_has_nothing_to_replay(tmp_path, capsys):
    load_or_create_keys(tmp_path, "t")
    assert main(["--root", str(tmp_path), "--tenant", "t", "--where", "reason = 'plan_violation' AND len(violations) > 1", "--dry-run"]) == 0
    assert '"matching": 0' in capsys.readouterr().out

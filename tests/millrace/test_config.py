"""Configuration from a file, the environment and options: which one counts, and that everything wrong is said at once."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from millrace.config import Configuration, Given, add_options, configuration_of, load_configuration, variable_of
from millrace.errors import ConfigurationError
from millrace.settings import DEFAULTS


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yml"
    path.write_text(text, encoding="utf-8")
    return path


def parsed(*argv: str) -> Configuration:
    parser = argparse.ArgumentParser()
    add_options(parser, root="root", listen="collector.listen", queue="collector.queue_events")
    return configuration_of(parser.parse_args(argv))


def problems(**sources: object) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(**({"environ": {}} | sources))
    return caught.value.problems


def test_without_anything_given_the_defaults_hold() -> None:
    assert load_configuration(environ={"PATH": "/bin"}).settings == DEFAULTS


def test_options_are_stronger_than_the_environment_and_the_environment_than_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "root: of-file\ncollector: {queue_events: 1, listen: '127.0.0.1:1', retry_after: 9s}\n")
    monkeypatch.setenv("MILLRACE_COLLECTOR_QUEUE_EVENTS", "2")
    monkeypatch.setenv("MILLRACE_COLLECTOR_LISTEN", "127.0.0.1:2")
    found = parsed("--config", str(path), "--listen", "127.0.0.1:3")
    assert (found.settings.root, found.settings.collector.retry_after) == ("of-file", 9)
    assert (found.settings.collector.queue_events, found.settings.collector.listen) == (2, "127.0.0.1:3")
    assert {key: given.source for key, given in found.given.items()} == {
        "root": str(path),
        "collector.retry_after": str(path),
        "collector.queue_events": "MILLRACE_COLLECTOR_QUEUE_EVENTS",
        "collector.listen": "--listen",
    }


def test_the_file_of_the_option_is_stronger_than_that_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_CONFIG", str(written(tmp_path, "root: a\n")))
    assert parsed().settings.root == "a"
    other = tmp_path / "other.yml"
    other.write_text("root: b\n")
    assert parsed("--config", str(other)).settings.root == "b"


def test_any_setting_can_be_set_by_key() -> None:
    found = parsed("--set", "stream.max_records=7", "--set", "spark.shuffle_partitions=8", "--set", "spark.shuffle_partitions=null").settings
    assert (found.stream.max_records, found.spark.shuffle_partitions) == (7, None)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h", 3600), ("7d", 604_800), ("20ms", 0.02), ("0", 0), ("1.5s", 1.5), (12, 12)])
def test_lengths_of_time_are_read_with_their_unit(text: object, seconds: float) -> None:
    found = load_configuration(environ={}, options={"batch.every": Given(text, "here")})
    assert found.settings.batch.every == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("stream.max_records", "many", "valid integer"),
        ("stream.max_records", 0, "greater than or equal to 1"),
        ("stream.max_records", True, "a single number or text"),
        ("batch.every", "soon", "such as 20ms, 90s, 5m"),
        ("batch.every", "-5m", "such as 20ms, 90s, 5m"),
        ("batch.every", None, "such as 20ms, 90s, 5m"),
        ("collector.listen", 8080, "write host:port"),
        ("kafka.bootstrap", "a:1,b", "write host:port"),
        ("tenant", "../other", "write up to 100 letters"),
        ("root", "", "at least 1 character"),
        ("spark.memory", "2 GB", "such as 512m or 2g"),
        ("collector.max_event_bytes", 2_000_000, "less than or equal to 1000000"),
        ("kafka.bootstrap", ["a:1"], "a single number or text"),
    ],
)
def test_wrong_value_is_shown_with_its_place_and_what_the_setting_is_for(key: str, value: object, hint: str) -> None:
    (problem,) = problems(options={key: Given(value, "--set")})
    assert problem.startswith(f"--set: {key}: found {value!r}; ")
    assert hint in problem


def test_everything_wrong_in_every_source_is_said_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "colector: {listen: x}\nkafka: 5\nstream: {max_recods: 5, trigger: never}\n")
    environ = {"MILLRACE_API_LISTEM": "x", "MILLRACE_TENANT": "a b", "MILLRACE_SEED": "1"}
    found = problems(file=path, environ=environ, options={"batch.keep": Given("1", "--set")})
    for part in (
        f"{path}: unknown setting colector (did you mean 'collector'?)",
        f"{path}: kafka is a section, found 5",
        f"{path}: unknown setting stream.max_recods (did you mean 'stream.max_records'?)",
        f"{path}: stream.trigger: found 'never'",
        "MILLRACE_API_LISTEM: unknown variable (did you mean 'MILLRACE_API_LISTEN'?)",
        "MILLRACE_TENANT: tenant: found 'a b'",
        "--set: unknown setting batch.keep (did you mean 'batch.keep_files'?)",
    ):
        assert [problem for problem in found if problem.startswith(part)] != [], part
    assert len(found) == 7


def test_rule_over_two_settings_names_who_set_them() -> None:
    (problem,) = problems(environ={"MILLRACE_COLLECTOR_MAX_EVENT_BYTES": "600000"})
    assert problem.startswith("MILLRACE_COLLECTOR_MAX_EVENT_BYTES: collector: max_event_bytes is 600000 and max_request_bytes 512000")


@pytest.mark.parametrize(
    ("text", "hint"), [("- 1\n", "found list; settings are a mapping"), ("a: 1\na: 2\n", "key 'a' is given twice"), ("a: [", "not readable as YAML")]
)
def test_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, hint: str) -> None:
    (problem,) = problems(file=written(tmp_path, text))
    assert hint in problem


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "kafka:\nstream:\n"])
def test_empty_file_and_empty_section_change_nothing(tmp_path: Path, text: str) -> None:
    assert load_configuration(file=written(tmp_path, text), environ={}).settings == DEFAULTS


def test_missing_file_and_folder_in_its_place_are_named(tmp_path: Path) -> None:
    assert "is missing; name a file of settings" in problems(file=tmp_path / "nothing.yml")[0]
    assert "cannot be read" in problems(file=tmp_path)[0]


def test_what_is_shown_can_be_given_back(tmp_path: Path) -> None:
    first = load_configuration(environ={"MILLRACE_BATCH_EVERY": "90m", "MILLRACE_TENANT": "2024", "MILLRACE_SPARK_SHUFFLE_PARTITIONS": "4"})
    assert "  every: 90m" in first.text() and "# MILLRACE_BATCH_EVERY" in first.text()
    assert load_configuration(file=written(tmp_path, first.text()), environ={}).settings == first.settings


def test_children_get_the_same_settings_through_their_environment(tmp_path: Path) -> None:
    path = written(tmp_path, "stream: {max_records: 5}\nspark: {shuffle_partitions: null}\n")
    environ = {"MILLRACE_CONFIG": str(path), "MILLRACE_API_POLL": "1s"}
    found = load_configuration(environ=environ, options={"batch.every": Given("90s", "command line")})
    found.export(environ)
    assert environ == {
        "MILLRACE_STREAM_MAX_RECORDS": "5",
        "MILLRACE_SPARK_SHUFFLE_PARTITIONS": "null",
        "MILLRACE_API_POLL": "1s",
        "MILLRACE_BATCH_EVERY": "90s",
    }
    assert load_configuration(environ=environ).settings == found.settings


def test_variables_are_named_after_their_keys() -> None:
    assert variable_of("collector.queue_events") == "MILLRACE_COLLECTOR_QUEUE_EVENTS"


def show_config(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "jobs.show_config", *argv], capture_output=True, text=True, check=False)


def test_the_job_shows_every_value_with_its_source() -> None:
    shown = show_config("--set", "stream.max_records=7")
    assert shown.returncode == 0
    assert yaml.safe_load(shown.stdout)["stream"]["max_records"] == 7
    (line,) = (line for line in shown.stdout.splitlines() if "max_records" in line)
    assert line.split("#")[1].strip() == "--set"


def test_the_job_ends_with_2_and_all_problems_on_stderr() -> None:
    refused = show_config("--set", "stream.max_recods=7", "--set", "batch.every=soon", "--tenant", "a/b")
    assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (2, "", 3)
    assert show_config("--set", "nothing").stderr.startswith("--set nothing: a setting is KEY=VALUE")

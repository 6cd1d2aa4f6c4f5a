"""The effective configuration of a job: conf/reference.yml's defaults < a file < environment < options. Jobs call ``add_options`` and ``settings_of``.

Unknown keys and wrong values of all sources are reported at once (ConfigurationError), each with its place and the nearest known key: a wrong
configuration never starts a job. A key is ``section.name``; its variable is ``MILLRACE_SECTION_NAME``.
"""

import argparse
import os
import textwrap
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from millrace.errors import ConfigurationError
from millrace.settings import DEFAULTS, Section, Settings
from millrace.yaml_files import did_you_mean, read_yaml

PROJECT = Path(__file__).resolve().parent.parent
FILE_VARIABLE = "MILLRACE_CONFIG"
OTHER_VARIABLES = frozenset(
    {FILE_VARIABLE, "MILLRACE_JARS", "MILLRACE_CRASH_AT"}
    | {"MILLRACE_LAWS", "MILLRACE_LAW_EXAMPLES", "MILLRACE_STACK_HISTORIES", "MILLRACE_DIALECT_EXAMPLES", "MILLRACE_RECORDS", "MILLRACE_PAYLOADS"}
    | {"MILLRACE_FAULTS", "MILLRACE_SEED", "MILLRACE_TEST_DATA"}
)
"""Variables that are no settings: of the launcher and of the tests."""
REFERENCE = "conf/reference.yml"
ADVICE = f"{REFERENCE} lists every setting"
HEADER = """\
# Every setting with its default. Write only what differs into a file of your own and give it to any job with --config FILE (or MILLRACE_CONFIG).
# Stronger than the file are environment variables (collector.queue_events is MILLRACE_COLLECTOR_QUEUE_EVENTS), and options (--set KEY=VALUE) most.
# `python -m jobs.show_config` shows what holds and where it comes from. Lengths of time: 20ms, 90s, 5m, 1h, 7d.
# This file is written from millrace/settings.py by `python -m jobs.show_config --reference`; a test compares them.

"""


class Given(NamedTuple):
    """A value as somebody wrote it, and where."""

    value: Any
    source: str


@dataclass(frozen=True)
class Configuration:
    """The settings, and for each key that is not at its default where it was given."""

    settings: Settings
    given: Mapping[str, Given]

    def export(self, environ: MutableMapping[str, str]) -> None:
        """Puts what was given into the environment of child processes, so that they have the same settings whatever their own options."""
        environ.pop(FILE_VARIABLE, None)
        for key, given in self.given.items():
            environ[variable_of(key)] = "null" if given.value is None else str(given.value)

    def text(self) -> str:
        """YAML of all settings, each with its source; it can be given back as a file."""
        return _rendered(self.settings, lambda key, line: [f"{line:<48} # {self.given[key].source if key in self.given else REFERENCE}"])


def _fields(model: type[Section], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.default, Section):
            yield from _fields(type(field.default), f"{name}.")
        else:
            yield prefix + name, field


FIELDS = dict(_fields(Settings))
"""Every setting by its key."""
SECTIONS = tuple(name for name, field in Settings.model_fields.items() if isinstance(field.default, Section))


def variable_of(key: str) -> str:
    return "MILLRACE_" + key.upper().replace(".", "_")


def load_configuration(*, file: str | Path | None = None, environ: Mapping[str, str], options: Mapping[str, Given] | None = None) -> Configuration:
    """Merges the sources; ConfigurationError with everything that is wrong in any of them."""
    file = file or environ.get(FILE_VARIABLE)
    found = [*(_of_file(Path(file)) if file else ()), *_of_environment(environ), *(options or {}).items()]
    problems = [problem for key, given in found if (problem := _misplaced(key, given))]
    given = {key: given for key, given in found if not _misplaced(key, given)}
    nested: dict[str, Any] = {}
    for key, (value, _) in given.items():
        section, _, name = key.rpartition(".")
        (nested.setdefault(section, {}) if section else nested)[name] = value
    try:
        settings = Settings.model_validate(nested)
    except ValidationError as error:
        problems += [_sentence(problem, given) for problem in error.errors(include_url=False)]
    if problems:
        raise ConfigurationError(problems)
    return Configuration(settings, given)


def _misplaced(key: str, given: Given) -> str | None:
    """What is wrong with a key, or with the kind of its value, whatever the value."""
    if key in SECTIONS:
        return f"{given.source}: {key} is a section, found {given.value!r}; write its settings below it, indented; {ADVICE}"
    if key.startswith("MILLRACE_"):
        return f"{given.source}: unknown variable{did_you_mean(key, map(variable_of, FIELDS))}; {ADVICE}, and collector.listen is MILLRACE_COLLECTOR_LISTEN"
    if key not in FIELDS:
        return f"{given.source}: unknown setting {key}{did_you_mean(key, (*FIELDS, *SECTIONS))}; {ADVICE}"
    if isinstance(given.value, bool | list | dict):
        return f"{given.source}: {key}: found {given.value!r}; a single number or text is needed; {_meaning(key)}"
    return None


def _of_file(path: Path) -> Iterator[tuple[str, Given]]:
    content = read_yaml(path, missing=f"name a file of settings; {ADVICE}")
    if not isinstance(content, dict | None):
        raise ConfigurationError(f"{path}: found {type(content).__name__}; settings are a mapping such as `stream: {{max_records: 50000}}`; {ADVICE}")
    for name, value in (content or {}).items():
        if name in SECTIONS and isinstance(value, dict):
            yield from ((f"{name}.{inner}", Given(each, str(path))) for inner, each in value.items())
        elif value is not None or name not in SECTIONS:
            yield str(name), Given(value, str(path))


def _of_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Given]]:
    keys = {variable_of(key): key for key in FIELDS}
    for name, value in environ.items():
        if name.startswith("MILLRACE_") and name not in OTHER_VARIABLES:
            yield keys.get(name, name), Given(_plain(value), name)


def _meaning(key: str) -> str:
    """What a setting is for, in one sentence."""
    return (FIELDS[key].description or "").split(". ")[0].rstrip(".")


def _plain(text: str) -> str | None:
    return None if text == "null" else text


def _sentence(problem: Any, given: Mapping[str, Given]) -> str:
    key = ".".join(str(part) for part in problem["loc"] if not isinstance(part, int))
    message = problem["msg"].removeprefix("Value error, ")
    if key not in given:  # a rule over several settings of a section
        sources = sorted({each.source for name, each in given.items() if name.startswith(f"{key}.")})
        return f"{', '.join(sources)}: {key}: {message}; {ADVICE}"
    return f"{given[key].source}: {key}: found {given[key].value!r}; {message[:1].lower()}{message[1:]}; {_meaning(key)}"


def add_options(parser: argparse.ArgumentParser, **flags: str) -> None:
    """``--config``, ``--set`` and an option for each flag: ``add_options(parser, kafka="kafka.bootstrap")`` adds ``--kafka`` for that setting."""
    parser.add_argument("--config", metavar="FILE", help="settings that differ from conf/reference.yml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting of conf/reference.yml, such as stream.max_records=50000")
    shown = _shown(DEFAULTS)
    for flag, key in flags.items():
        metavar = "HOST:PORT" if key.endswith((".listen", ".bootstrap")) else flag.rpartition("_")[2].upper()
        parser.add_argument(f"--{flag.replace('_', '-')}", dest=key, metavar=metavar, help=f"{_meaning(key)} (default: {shown[key]})".replace("%", "%%"))
    parser.set_defaults(flags={key: f"--{flag.replace('_', '-')}" for flag, key in flags.items()})


def configuration_of(options: argparse.Namespace, *, file: Path | None = None) -> Configuration:
    """What the parsed options, the environment and the file say together. ``file`` is read when neither names one."""
    given = {key: Given(_plain(value), options.flags[key]) for key, value in vars(options).items() if key in FIELDS and value is not None}
    for text in options.set:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigurationError(f"--set {text}: a setting is KEY=VALUE, such as stream.max_records=50000; {ADVICE}")
        given[key.strip()] = Given(_plain(value.strip()), "--set")
    return load_configuration(file=options.config or os.environ.get(FILE_VARIABLE) or file, environ=os.environ, options=given)


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings of ``configuration_of``."""
    return configuration_of(options).settings


def reference_text() -> str:
    """What conf/reference.yml holds: every setting with its default, under a comment that says what it is for."""

    def commented(key: str, line: str) -> list[str]:
        indent = "  # " if line.startswith(" ") else "# "
        return [*textwrap.wrap(FIELDS[key].description or "", 140, initial_indent=indent, subsequent_indent=indent), line.replace(f"{PROJECT}/", "")]

    return HEADER + _rendered(DEFAULTS, commented)


def _shown(settings: Settings) -> dict[str, str]:
    """Values of all keys as YAML writes them."""
    dumped = settings.model_dump(mode="json")
    values = {key: dumped[key.partition(".")[0]][key.partition(".")[2]] if "." in key else dumped[key] for key in FIELDS}
    return {key: yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip() for key, value in values.items()}


def _rendered(settings: Settings, lines_of: Callable[[str, str], list[str]]) -> str:
    """YAML of the settings; ``lines_of`` gets each key with its line."""
    lines, now = [""], ""
    for key, value in _shown(settings).items():
        section, _, name = key.rpartition(".")
        if section != now:
            lines += ["", f"{section}:"]
            now = section
        lines += lines_of(key, f"  {name}: {value}" if section else f"{name}: {value}")
    return "\n".join(lines[1:]) + "\n"

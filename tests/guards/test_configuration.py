"""conf/reference.yml and the typed settings say the same, every setting is explained and used, and the other files hold only differences."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from millrace.config import FIELDS, OTHER_VARIABLES, load_configuration, reference_text, variable_of
from millrace.settings import DEFAULTS

TREE = Path(__file__).resolve().parents[2]
REFERENCE = TREE / "conf" / "reference.yml"
DIFFERENCES = [TREE / "conf" / name for name in ("local.yml", "cluster.yml")]

each_key = pytest.mark.parametrize("key", FIELDS)
each_file = pytest.mark.parametrize("path", DIFFERENCES, ids=lambda path: path.name)


def flat(content: dict) -> dict[str, object]:
    return {
        f"{name}.{inner}" if isinstance(value, dict) else name: each
        for name, value in content.items()
        for inner, each in (value.items() if isinstance(value, dict) else [("", value)])
    }


def test_the_reference_holds_every_setting_and_nothing_else_with_the_default_of_the_model() -> None:
    content = flat(yaml.safe_load(REFERENCE.read_text(encoding="utf-8")))
    assert set(content) == set(FIELDS)
    given = load_configuration(file=REFERENCE, environ={})
    assert given.settings.model_copy(update={"definitions": TREE / given.settings.definitions}) == DEFAULTS


def test_the_reference_is_what_the_model_writes() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference_text(), "run: python -m jobs.show_config --reference > conf/reference.yml"


@each_key
def test_setting_is_explained_above_its_line(key: str) -> None:
    lines = REFERENCE.read_text(encoding="utf-8").splitlines()
    section, _, name = key.rpartition(".")
    start = lines.index(f"{section}:") if section else 0
    (number, *_) = (number for number, line in enumerate(lines) if number >= start and re.match(rf"{'  ' if section else ''}{name}:", line))
    comment = lines[number - 1].strip()
    assert comment.startswith("# ") and comment.endswith(".")
    assert len((FIELDS[key].description or "").split()) >= 8


@each_key
def test_setting_is_used_outside_the_model(key: str) -> None:
    """A setting that nothing reads is a lie. Whole sections may be handed over as ``**dict(settings.spark)``: then a parameter has its name."""
    name = key.rpartition(".")[2]
    used = set()
    for folder in ("millrace", "batch", "speed", "serving", "jobs"):
        for path in (TREE / folder).rglob("*.py"):
            if path != TREE / "millrace" / "settings.py":
                nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
                used |= {node.attr for node in nodes if isinstance(node, ast.Attribute)} | {node.arg for node in nodes if isinstance(node, ast.arg)}
    assert name in used


@each_file
def test_file_of_differences_is_sound_and_repeats_no_default(path: Path) -> None:
    given = load_configuration(file=path, environ={})
    defaults = flat(DEFAULTS.model_dump(mode="json"))
    assert given.given and [key for key, value in flat(given.settings.model_dump(mode="json")).items() if key in given.given and value == defaults[key]] == []


def test_every_variable_the_tree_names_is_a_setting_or_known() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, check=True, cwd=TREE
    ).stdout.splitlines()
    known = OTHER_VARIABLES | {variable_of(key) for key in FIELDS} | {"MILLRACE_SECTION_NAME"}
    tests = {"tests/millrace/test_config.py", "tests/guards/test_configuration.py"}  # they name wrong ones on purpose
    texts = {name: (TREE / name).read_text(encoding="utf-8", errors="replace") for name in tracked if name not in tests and (TREE / name).is_file()}
    assert {name: sorted(found) for name, text in texts.items() if (found := set(re.findall(r"\bMILLRACE_[A-Z_]+[A-Z]\b", text)) - known)} == {}


def test_no_two_settings_share_a_variable() -> None:
    assert len({variable_of(key) for key in FIELDS} | OTHER_VARIABLES) == len(FIELDS) + len(OTHER_VARIABLES)

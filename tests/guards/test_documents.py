"""What README.md and docs/ tell a reader to type exists, links lead somewhere, and nothing in the tree is tied to one machine."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pyarrow as pa
import pytest

from millrace.definitions import DEFAULT_DIRECTORY, load_definitions
from millrace.tables import catalogue as tables
from millrace.traits.views import View

TREE = Path(__file__).resolve().parents[2]
DOCUMENTS = [TREE / "README.md", *sorted((TREE / "docs").rglob("*.md"))]
# Paths of somebody's machine, hosts of package registries, words of the work's own bookkeeping.
TIED = re.compile(
    r"(?<![\w.$}])/(?:work|root|home)/\w|\brepo1?\.maven|\bpypi\.org|pythonhosted|registry\.npmjs|\b[Ii]ssue #\d", re.MULTILINE
)  # fmt: skip

each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(TREE)))


def commands(text: str) -> list[str]:
    """Lines of the shell blocks of a document, and inline code that starts like a command."""
    blocks = re.findall(r"^```(?:sh|bash|console|shell)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")] + re.findall(r"`((?:make|python -m) [^`]+)`", text)


@cache
def help_of(job: str) -> str:
    return subprocess.run([sys.executable, "-m", job, "--help"], capture_output=True, text=True, check=True, cwd=TREE).stdout


def wrong_in(command: str) -> list[str]:
    """What a command names that does not exist: make targets, modules, options of jobs."""
    makefile = (TREE / "Makefile").read_text(encoding="utf-8")
    wrong = [target for target in re.findall(r"(?:^|&& )make ([a-z][\w-]*)", command) if not re.search(rf"^{target}:", makefile, re.MULTILINE)]
    for module, rest in re.findall(r"python -m ((?:jobs|bench)\.\w+)([^|&;>]*)", command):
        if not (TREE / module.replace(".", "/")).with_suffix(".py").is_file():
            wrong.append(module)
        elif module.startswith("jobs."):
            wrong += [f"{module} {option}" for option in re.findall(r"(?<=\s)--[a-z-]+", rest) if option not in help_of(module)]
    return wrong


def cells(heading: str) -> list[list[str]]:
    """Rows of the table under a heading of README.md."""
    section = (TREE / "README.md").read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def texts_of_the_code() -> list[str]:
    """Every text of the packages, with … for what an f-string fills in."""
    found = []
    for folder in ("millrace", "batch", "speed", "serving", "jobs"):
        for path in (TREE / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return found


TEXTS = texts_of_the_code()


def is_said(message: str) -> bool:
    """Whether a text of the code has all fixed parts of a message, in order."""
    parts = [re.escape(part.strip()) for part in message.split("…") if part.strip()]
    return any(re.search(".*".join(parts), text, re.DOTALL) for text in TEXTS)


@pytest.mark.parametrize("row", cells("Troubleshooting"), ids=lambda row: row[0][:40])
def test_a_message_of_the_troubleshooting_table_is_one_the_code_says(row: list[str]) -> None:
    message, advice = row
    assert re.fullmatch(r"`[^`]{15,}`", message) and len(advice) > 10
    assert is_said(message.strip("`"))


def test_the_guard_sees_a_message_nobody_says() -> None:
    assert not is_said("process … already reads the tables of")
    assert not is_said("tables of … already writes the")


def test_the_table_of_jobs_has_every_job() -> None:
    named = {match for row in cells("Jobs") for match in re.findall(r"`python -m jobs\.(\w+)`", row[0])}
    assert named == {path.stem for path in (TREE / "jobs").glob("*.py")} - {"__init__"}


def test_the_table_of_tables_has_every_table_of_the_catalogue() -> None:
    view = load_definitions(DEFAULT_DIRECTORY).views["person"]
    catalogue = {table.name for table in vars(tables).values() if isinstance(table, tables.Table)}
    catalogue |= {make("<view>", view).name for make in (tables.batch_view, tables.speed_view)} | {tables.profiles_table(view).name, tables.rows_table("<view>", View(key="source", traits=view.traits)).name, tables.feature_set_table("<name>", pa.schema([])).name, tables.entity_table("<name>").name}
    assert {name for row in cells("Tables") for name in re.findall(r"`([^`]+)`", row[0])} == catalogue


@each_document
def test_commands_of_a_document_exist(document: Path) -> None:
    assert [f"{command}: {wrong_in(command)}" for command in commands(document.read_text(encoding="utf-8")) if wrong_in(command)] == []


def test_the_submit_of_the_readme_is_what_make_dist_prints() -> None:
    lines = subprocess.run(["make", "--no-print-directory", "-n", "dist"], capture_output=True, text=True, check=True, cwd=TREE).stdout.splitlines()
    printed = subprocess.run(["sh", "-c", lines[-1]], capture_output=True, text=True, check=True, cwd=TREE).stdout.strip()
    readme = (TREE / "README.md").read_text(encoding="utf-8").replace("\\\n  ", "")
    (written,) = re.findall(r"^spark-submit .*$", readme, re.MULTILINE)
    assert written.removesuffix(' --root "$ROOT" --tenant default').replace('--master "$MASTER" ', "") == printed


@each_document
def test_links_of_a_document_lead_to_files(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_the_guard_sees_commands_that_do_not_exist() -> None:
    text = "```sh\n$ make nothing\npython -m jobs.doctor --nothing \\\n  --more\n```\nand `python -m jobs.nothing`"
    assert [wrong_in(command) for command in commands(text)] == [["nothing"], ["jobs.doctor --nothing", "jobs.doctor --more"], ["jobs.nothing"]]


def test_nothing_in_the_tree_is_tied_to_one_machine() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True, cwd=TREE).stdout.split("\0")
    texts = [TREE / name for name in tracked if name and Path(name).suffix not in {".lock", ".png", ".parquet", ".woff2"} and (TREE / name).is_file()]
    found = {path.relative_to(TREE): TIED.search(path.read_text(encoding="utf-8", errors="replace")) for path in texts if path != Path(__file__)}
    assert {str(path): match[0] for path, match in found.items() if match} == {}


def test_every_make_target_says_what_it_does() -> None:
    makefile = (TREE / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony and [target for target in phony[1].split() if not re.search(rf"^{target}:.* ## \w", makefile, re.MULTILINE)] == []

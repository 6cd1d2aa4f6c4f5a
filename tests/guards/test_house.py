"""The habits of the house, as rules over the syntax trees: who may import whom, what is not called, how long things get."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
MAY_IMPORT = {
    "millrace": {"millrace"},
    "batch": {"batch", "millrace"},
    "speed": {"speed", "millrace"},
    "serving": {"serving", "millrace"},
    "jobs": {"jobs", "batch", "speed", "serving", "millrace"},
}
LAYERS = set(MAY_IMPORT)
SAYS_NOTHING = {"utils", "util", "common", "helpers", "helper", "misc", "manager", "core", "base"}
TABLE_NAME = re.compile(r"(log|speed|batch|serving|ops|ml)/[a-z_]*")
Module = tuple[Path, ast.Module]


def parsed(folders: set[str]) -> list[Module]:
    paths = sorted(path for folder in folders for path in (TREE / folder).rglob("*.py"))
    return [(path.relative_to(TREE), ast.parse(path.read_text(encoding="utf-8"), filename=str(path))) for path in paths]


PACKAGES = parsed(LAYERS)
TESTS = parsed({"tests"})


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def imports_against_the_law(path: Path, tree: ast.Module) -> Iterator[int]:
    """Layers meet in tables and topics, never in imports."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        roots = {name.split(".")[0] for name in names}
        relative = isinstance(node, ast.ImportFrom) and node.level > 0
        if relative or (roots & LAYERS) - MAY_IMPORT[path.parts[0]] or (path.parts[0] == "serving" and roots & {"pyspark", "py4j", "delta"}):
            yield node.lineno


def prints_outside_jobs(path: Path, tree: ast.Module) -> Iterator[int]:
    return (node.lineno for name, node in calls(tree) if name in {"print", "pprint"} and path.parts[0] != "jobs")


def asserts(path: Path, tree: ast.Module) -> Iterator[int]:
    """Python may be told to leave them out."""
    return (node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert))


def code_from_text(path: Path, tree: ast.Module) -> Iterator[int]:
    return (node.lineno for name, node in calls(tree) if name in {"eval", "exec", "compile", "os.system", "pickle.loads", "pickle.load", "yaml.unsafe_load"})


def sql_from_pieces(path: Path, tree: ast.Module) -> Iterator[int]:
    """SQL text is a constant with parameters: no f-string and no concatenation reaches a database or Spark."""
    for name, node in calls(tree):
        if name.split(".")[-1] in {"sql", "execute"} and node.args and isinstance(node.args[0], ast.JoinedStr | ast.BinOp):
            yield node.lineno


def plain_udfs(path: Path, tree: ast.Module) -> Iterator[int]:
    """A row at a time through Python: columns or Arrow functions instead."""
    yield from (node.lineno for name, node in calls(tree) if name.split(".")[-1] == "udf")
    yield from (function.lineno for function in functions(tree) for mark in function.decorator_list if ast.unparse(mark).split(".")[-1] == "udf")


def column_loops(path: Path, tree: ast.Module) -> Iterator[int]:
    """``withColumn`` in a loop builds a plan as deep as the loop is long."""
    loops = (node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While))
    return (node.lineno for loop in loops for name, node in calls(loop) if name.split(".")[-1] in {"withColumn", "withColumnRenamed"})


def table_names_as_text(path: Path, tree: ast.Module) -> Iterator[int]:
    """Tables are named in millrace/tables/catalogue.py and nowhere else."""
    if path != Path("millrace/tables/catalogue.py"):
        texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
        yield from (node.lineno for node in texts if TABLE_NAME.fullmatch(node.value))


def swallowed_errors(path: Path, tree: ast.Module) -> Iterator[int]:
    """Outside jobs, who catches everything raises again or counts it (``errors`` or ``failures`` somewhere in the handler)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}) and path.parts[0] != "jobs":
            body = ast.unparse(node)
            if not any(isinstance(inner, ast.Raise) for inner in ast.walk(node)) and not re.search(r"fail|error", body.split("\n", 1)[1]):
                yield node.lineno


def clocks_without_a_zone(path: Path, tree: ast.Module) -> Iterator[int]:
    for name, node in calls(tree):
        if name.endswith(("datetime.utcnow", "datetime.utcfromtimestamp")) or (name.endswith("datetime.now") and not node.args and not node.keywords):
            yield node.lineno


def modules_over_250_lines(path: Path, tree: ast.Module) -> Iterator[int]:
    lines = (TREE / path).read_text(encoding="utf-8").count("\n")
    if lines > (60 if path.parts[0] == "jobs" else 250):
        yield lines


def modules_that_do_not_say_what_they_are(path: Path, tree: ast.Module) -> Iterator[int]:
    if path.stem in SAYS_NOTHING or (tree.body and not ast.get_docstring(tree)):
        yield 1


def functions_over_50_lines(path: Path, tree: ast.Module) -> Iterator[int]:
    return (function.lineno for function in functions(tree) if (function.end_lineno or 0) - function.lineno + 1 > 50)


def functions_without_annotations(path: Path, tree: ast.Module) -> Iterator[int]:
    for function in functions(tree):
        parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        bare = [parameter for parameter in parameters if parameter.annotation is None and parameter.arg not in {"self", "cls"}]
        if bare or (function.returns is None and not function.name.startswith("_")):
            yield function.lineno


RULES: list[Callable[[Path, ast.Module], Iterator[int]]] = [
    imports_against_the_law, prints_outside_jobs, asserts, code_from_text, sql_from_pieces, plain_udfs, column_loops, table_names_as_text, swallowed_errors,
    clocks_without_a_zone, modules_over_250_lines, modules_that_do_not_say_what_they_are, functions_over_50_lines, functions_without_annotations,
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_tree_has_no(rule: Callable[[Path, ast.Module], Iterator[int]]) -> None:
    assert [f"{path}:{line}" for path, tree in PACKAGES for line in rule(path, tree)] == []


@pytest.mark.parametrize(
    ("rule", "path", "code"),
    [
        (imports_against_the_law, "speed/x.py", "from batch.publish import y"),
        (imports_against_the_law, "millrace/x.py", "import speed"),
        (imports_against_the_law, "serving/x.py", "from pyspark.sql import functions"),
        (prints_outside_jobs, "millrace/x.py", "print(1)"),
        (asserts, "millrace/x.py", "assert x"),
        (code_from_text, "batch/x.py", "eval('1')"),
        (sql_from_pieces, "batch/x.py", "spark.sql(f'select * from {t}')"),
        (sql_from_pieces, "batch/x.py", "db.execute('select ' + name)"),
        (plain_udfs, "speed/x.py", "F.udf(f)"),
        (plain_udfs, "speed/x.py", "@udf\ndef f(): ..."),
        (column_loops, "speed/x.py", "for c in cs: df = df.withColumn(c, x)"),
        (table_names_as_text, "speed/x.py", "t = 'log/events'"),
        (table_names_as_text, "speed/x.py", "t = f'batch/{view}'"),
        (swallowed_errors, "speed/x.py", "try: x()\nexcept Exception: pass"),
        (clocks_without_a_zone, "speed/x.py", "datetime.now()"),
        (modules_that_do_not_say_what_they_are, "speed/utils.py", '"""Says it."""'),
        (modules_that_do_not_say_what_they_are, "speed/x.py", "y = 1"),
        (functions_over_50_lines, "speed/x.py", "def f():\n" + "    y\n" * 50),
        (functions_without_annotations, "speed/x.py", "def f(a) -> int: ..."),
        (functions_without_annotations, "speed/x.py", "def f(): ..."),
    ],
)
def test_a_rule_finds_what_it_is_for(rule: Callable[[Path, ast.Module], Iterator[int]], path: str, code: str) -> None:
    assert list(rule(Path(path), ast.parse(code)))


def test_no_part_of_the_serving_layer_loads_pyspark() -> None:
    modules = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path, _ in PACKAGES if path.parts[0] == "serving"]
    code = f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\nprint(sorted({{'pyspark', 'py4j'}} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TREE)
    assert loaded.stdout.strip() == "[]"


def test_every_test_can_fail() -> None:
    checks = re.compile(r"assert|raises|check|verify|expect|warns")
    tests = ((path, function) for path, tree in TESTS if path.name.startswith("test_") for function in functions(tree) if function.name.startswith("test_"))
    assert [f"{path}:{function.lineno}" for path, function in tests if not checks.search(ast.unparse(ast.Module(function.body, [])))] == []


def test_test_folders_are_no_packages() -> None:
    assert list((TREE / "tests").rglob("__init__.py")) == []

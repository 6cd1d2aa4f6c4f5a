"""A tenant that pulls: sources.yml as a test writes it, the job as people start it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.pull_sources import main
from millrace.tables.catalogue import REFUSED_ROWS, SOURCE_POSITIONS, entity_table
from millrace.tables.delta import TenantTables

VIEWS = "person: {key: node, traits: {orders: {event: Order Completed, op: count}}}\n"


class Pulled:
    """``folder``: where files of sources are put."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.folder, self.definitions, self._capsys = root, root / "in", root / "definitions", capsys
        self.folder.mkdir()
        self.definitions.mkdir()
        (self.definitions / "views.yml").write_text(VIEWS, encoding="utf-8")
        self.tables = TenantTables(root, "t")
        self.code, self.err, self._clock = 0, "", 1_780_000_000

    def declare(self, **sources: dict[str, Any]) -> None:
        """Sources by name, each what its ``pull`` says; files are in ``folder`` and read at once."""
        files = {"kind": "files", "path": str(self.folder), "quiet": "0s"}
        pulls = {name: {"pull": pull if "kind" in pull else files | pull} for name, pull in sources.items()}
        (self.definitions / "sources.yml").write_text(yaml.safe_dump(pulls), encoding="utf-8")

    def put(self, name: str, content: str | bytes) -> None:
        """A file, each a minute younger than the one before."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self._clock += 60
        os.utime(path, (self._clock, self._clock))

    def pull(self, *more: str) -> dict[str, Any]:
        """The line of the first source; ``code`` and ``err`` are of the run."""
        self.code = main(["--root", str(self.root), "--tenant", "t", "--definitions", str(self.definitions), *more])
        out, self.err = self._capsys.readouterr()
        lines = [json.loads(line) for line in out.splitlines()]
        for line in lines:
            assert line["received"] == line["taken"] + line["rejected"] + line["unchanged"]
        return lines[0] if lines else {}

    def versions(self, entity: str = "customers") -> list[dict[str, Any]]:
        """Versions by key and time, with their attributes read and times short."""
        rows = self.tables.read(entity_table(entity)).sort_by([("key", "ascending"), ("valid_from", "ascending"), ("sequence", "ascending")]).to_pylist()
        return [row | {"attributes": row["attributes"] and json.loads(row["attributes"])} for row in rows]

    def rejected(self) -> list[dict[str, Any]]:
        return self.tables.read(REFUSED_ROWS).to_pylist()

    def positions(self) -> list[dict[str, Any]]:
        return self.tables.read(SOURCE_POSITIONS).sort_by("number").to_pylist()


@pytest.fixture
def pulled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Pulled:
    return Pulled(tmp_path, capsys)


@pytest.fixture
def history_of(pulled: Pulled) -> Callable[[str, str], list[tuple[Any, str, str | None]]]:
    """``history_of(key, column)``: what the column was, from which day until which."""

    def read(key: str, column: str) -> list[tuple[Any, str, str | None]]:
        rows = [row for row in pulled.versions() if row["key"] == key]
        return [((row["attributes"] or {}).get(column), f"{row['valid_from']:%m-%d}", row["valid_to"] and f"{row['valid_to']:%m-%d}") for row in rows]

    return read

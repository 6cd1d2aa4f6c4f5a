"""What a demo run found out, as `--json` writes it. The story fills it, run.py writes it, the job makes the exit code of it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from millrace.demo.comparison import Comparison
from millrace.demo.freshness import Freshness
from millrace.demo.narration import Stage
from millrace.demo.sender import Sent

OK, COMPARISON_FAILED = 0, 3


@dataclass
class Report:
    """``comparisons`` by moment, in order; ``moved`` answers differ before and after a publish at the same head (must be 0)."""

    weeks: int
    root: str
    nothing_to_do: bool = False
    error: str | None = None
    stages: list[Stage] = field(default_factory=list)
    sent: Sent = field(default_factory=Sent)
    freshness: Freshness = field(default_factory=lambda: Freshness(()))
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    moved: int = 0
    manifests: list[Any] = field(default_factory=list)
    is_replayed: bool = False
    receipt: dict[str, Any] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        """Everything that was compared is equal, no publish moved an answer and a receipt gave the same bytes again."""
        return self.error is None and (self.nothing_to_do or self._is_equal)

    @property
    def _is_equal(self) -> bool:
        return bool(self.comparisons) and self.moved == 0 and self.is_replayed and all(comparison.is_equal for comparison in self.comparisons.values())

    @property
    def exit_code(self) -> int:
        return OK if self.is_ok else COMPARISON_FAILED

    def as_dict(self) -> dict[str, Any]:
        comparisons = {moment: comparison.as_dict() for moment, comparison in self.comparisons.items()}
        totals = {name: sum(comparison[name] for comparison in comparisons.values()) for name in ("rows", "values", "differences")}
        return {
            "ok": self.is_ok,
            "nothing_to_do": self.nothing_to_do,
            "error": self.error,
            "root": self.root,
            "weeks": self.weeks,
            "stages": [stage.as_dict() for stage in self.stages],
            "seconds": round(sum(stage.seconds for stage in self.stages), 3),
            "sent": vars(self.sent),
            "freshness": self.freshness.as_dict(),
            "comparison": {**comparisons, **totals, "moved_by_publish": self.moved},
            "manifests": self.manifests,
            "receipt": self.receipt,
            "receipt_replayed": self.is_replayed,
            "memory": self.memory,
        }

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.as_dict(), indent=2, default=str) + "\n", encoding="utf-8")

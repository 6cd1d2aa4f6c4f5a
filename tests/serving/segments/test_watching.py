"""Definitions are read again when their files change; a wrong rule changes nothing and is told."""

from pathlib import Path

from serving.segments.watching import Watch

VIEWS = "person: {key: node, traits: {orders: {op: count}, %s}}"


def directory(path: Path, segments: str, traits: str = "") -> None:
    (path / "views.yml").write_text(VIEWS % traits, encoding="utf-8")
    (path / "segments.yml").write_text(segments, encoding="utf-8")


def watch(path: Path) -> Watch:
    ticks = iter(range(1_000))
    return Watch(path, clock=lambda: float(next(ticks)))


def test_a_changed_rule_is_another_rule_and_those_that_name_it_are_too(tmp_path: Path) -> None:
    directory(tmp_path, "{a: orders >= 1, b: a and orders < 9, c: orders > 5}")
    watched = watch(tmp_path)
    view = watched.definitions().views["person"]
    before = watched.rules(view)
    assert watched.rules(view) is before
    directory(tmp_path, "{a: orders >= 22, b: a and orders < 9, c: orders > 5}")
    after = watched.rules(view)
    assert {name for name in before.prints if before.prints[name] != after.prints[name]} == {"a", "b"}
    assert before.hash != after.hash


def test_a_wrong_rule_leaves_the_last_sound_ones_and_says_what_is_wrong(tmp_path: Path) -> None:
    directory(tmp_path, "{a: orders >= 1}")
    watched = watch(tmp_path)
    view = watched.definitions().views["person"]
    before = watched.rules(view)
    directory(tmp_path, "{a: order >= 1}")
    assert watched.rules(view) is before
    assert "order" in (watched.problem or "")
    directory(tmp_path, "{a: orders >= 12}")
    assert watched.rules(view).hash != before.hash
    assert watched.problem is None


def test_a_segment_over_a_trait_the_served_version_lacks_waits(tmp_path: Path) -> None:
    directory(tmp_path, "{a: orders >= 1}")
    served = watch(tmp_path).definitions().views["person"]
    directory(tmp_path, "{a: orders >= 1, b: a and calls >= 1}", traits="calls: {op: count, event: Call}")
    rules = watch(tmp_path).rules(served)
    assert (rules.names, rules.waiting) == (("a",), {"b": ("calls",)})

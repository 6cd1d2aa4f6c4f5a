"""User agents: browser, operating system and device by ua-parser's patterns, bots by crawlerdetect's."""

from collections.abc import Mapping
from functools import cache

from crawlerdetect import CrawlerDetect
from ua_parser import Parser
from ua_parser.loaders import load_builtins
from ua_parser.regex import Resolver

READS = ("context.userAgent",)
LONGEST = 512
"""Characters of a user agent that are looked at: patterns for bots take milliseconds for a long one."""
_PATHS = tuple(f"enriched.agent.{name}" for name in ("browser", "browser_version", "os", "os_version", "device", "is_bot", "bot"))


@cache
def _parser() -> Parser:
    """Named here, not chosen by what is installed: all layers read with the same patterns and the same matcher."""
    return Parser(Resolver(load_builtins()))


@cache
def _detector() -> CrawlerDetect:
    return CrawlerDetect()


def agent(text: str | None) -> Mapping[str, str | None]:
    """Families as ua-parser names them; null where it knows none. Versions are major numbers. ``bot`` is the word that gave it away."""
    text = (text or "").strip()[:LONGEST]
    if not text:
        return dict.fromkeys(_PATHS)
    found, detector = _parser().parse(text), _detector()
    browser, system, device = found.user_agent, found.os, found.device
    is_spider = device is not None and device.family == "Spider"
    is_bot = detector.is_crawler(text) or is_spider
    bot = (detector.get_matches() or (browser.family if browser else None)) if is_bot else None
    values = (browser and browser.family, browser and browser.major, system and system.family, system and system.major, device and device.family)
    return dict(zip(_PATHS, (*values, "true" if is_bot else "false", bot), strict=True))

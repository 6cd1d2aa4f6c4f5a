"""Hosts that send visitors, and what they are: ours, and short on purpose. A tenant adds his own in enrichment.yml."""

import re
from collections.abc import Mapping
from typing import TypeVar

from millrace.enrichment.texts import digest_of
from millrace.enrichment.urls import host_of

T = TypeVar("T")
Class = str
"""search, social, mail, internal, other."""
_SEARCH = {
    "bing.com": "Bing", "duckduckgo.com": "DuckDuckGo", "search.yahoo.com": "Yahoo", "baidu.com": "Baidu", "ecosia.org": "Ecosia", "startpage.com": "Startpage",
    "search.brave.com": "Brave", "qwant.com": "Qwant", "search.naver.com": "Naver", "search.seznam.cz": "Seznam", "sogou.com": "Sogou", "so.com": "360",
    "ask.com": "Ask", "search.aol.com": "AOL", "kagi.com": "Kagi", "swisscows.com": "Swisscows", "metager.de": "MetaGer", "suche.t-online.de": "T-Online",
    "search.daum.net": "Daum", "com.google.android.googlequicksearchbox": "Google",
}  # fmt: skip
_SOCIAL = {
    "facebook.com": "Facebook", "fb.com": "Facebook", "fb.me": "Facebook", "com.facebook.katana": "Facebook", "instagram.com": "Instagram",
    "com.instagram.android": "Instagram", "threads.net": "Threads", "threads.com": "Threads", "t.co": "X", "x.com": "X", "twitter.com": "X", "com.twitter.android": "X",
    "linkedin.com": "LinkedIn", "lnkd.in": "LinkedIn", "com.linkedin.android": "LinkedIn", "reddit.com": "Reddit", "youtube.com": "YouTube", "youtu.be": "YouTube",
    "tiktok.com": "TikTok", "snapchat.com": "Snapchat", "bsky.app": "Bluesky", "mastodon.social": "Mastodon", "vk.com": "VK", "ok.ru": "Odnoklassniki",
    "weibo.com": "Weibo", "quora.com": "Quora", "tumblr.com": "Tumblr", "discord.com": "Discord", "t.me": "Telegram", "web.telegram.org": "Telegram",
    "whatsapp.com": "WhatsApp", "wa.me": "WhatsApp", "xing.com": "XING", "line.me": "LINE", "pin.it": "Pinterest", "news.ycombinator.com": "Hacker News",
}  # fmt: skip
_MAIL = {
    "mail.google.com": "Gmail", "com.google.android.gm": "Gmail", "outlook.live.com": "Outlook", "outlook.office.com": "Outlook", "outlook.office365.com": "Outlook",
    "mail.yahoo.com": "Yahoo Mail", "mail.aol.com": "AOL Mail", "mail.proton.me": "Proton Mail", "e.mail.ru": "Mail.ru", "gmx.net": "GMX", "gmx.de": "GMX", "web.de": "WEB.DE",
    "mail.qq.com": "QQ Mail", "mail.163.com": "163 Mail", "mail.zoho.com": "Zoho Mail", "mail.yandex.ru": "Yandex Mail", "mail.yandex.com": "Yandex Mail",
    "email.t-online.de": "T-Online", "mail.naver.com": "Naver Mail",
}  # fmt: skip
HOSTS: Mapping[str, tuple[Class, str]] = {
    **{host: ("search", name) for host, name in _SEARCH.items()},
    **{host: ("social", name) for host, name in _SOCIAL.items()},
    **{host: ("mail", name) for host, name in _MAIL.items()},
}
_COUNTRY = r"(?:com?\.)?[a-z]{2,3}"
PATTERNS: tuple[tuple[str, Class, str], ...] = (
    (rf"(?:www\.|m\.|images\.|news\.)?google\.{_COUNTRY}", "search", "Google"),
    (rf"(?:www\.|m\.)?yandex\.{_COUNTRY}", "search", "Yandex"),
    (r"[a-z]{2}\.search\.yahoo\.com", "search", "Yahoo"),
    (rf"(?:www\.|[a-z]{{2}}\.)?pinterest\.{_COUNTRY}", "social", "Pinterest"),
)
"""Hosts with a domain in every country."""
_PATTERNS = tuple((re.compile(text), kind, name) for text, kind, name in PATTERNS)


def known_host(host: str) -> tuple[Class, str] | None:
    """Class and name of a host, or of the nearest host above it."""
    if found := nearest(host, HOSTS):
        return found
    return next(((kind, name) for pattern, kind, name in _PATTERNS if pattern.fullmatch(host)), None)


def nearest(host: str, table: Mapping[str, T]) -> T | None:
    """What a table says of the host, or of the nearest host above it."""
    while host not in table:
        _, dot, host = host.partition(".")
        if not dot:
            return None
    return table[host]


def check_host(text: str) -> str:
    """The host as addresses show it; ValueError when it is none."""
    host = host_of(text)
    if host is None or "." not in host or "/" in text:
        raise ValueError(f"{text!r} is no host; write it without scheme and path, such as shop.example.org")
    return host


def table_digest() -> str:
    """Changes with the hosts and patterns."""
    return digest_of([sorted(HOSTS.items()), PATTERNS])

"""Payloads as bad as they come: sound ones, damaged ones, bytes, depth, size, Unicode, numbers, dates, keys given twice, lies about the schema. Chosen by a seed."""

import gzip
import json
import random
import zlib
from collections.abc import Iterator

from tests.laws.histories import message
from tests.millrace.records import BAD_BYTES, CLAIMED, MALFORMED, NOW, ODD_BUT_SOUND, WRONG_MEANING, damage, raw, sound

HAND_PICKED = [value or b"" for value in (*BAD_BYTES, *MALFORMED, *(sound(**changed) for changed in WRONG_MEANING), *(sound(timestamp=one) for one in CLAIMED), *ODD_BUT_SOUND)]
HAND_PICKED = [value for value in HAND_PICKED if len(value) < 20_000]
CALLS = ("track", "identify", "page", "screen", "group", "alias")
BODIES = ("properties", "traits", "context")
_BOMB = zlib.compress(b"0" * 30_000_000, 9, 31)


class Payloads:
    """An endless source of them."""

    def __init__(self, seed: object) -> None:
        self.chance = random.Random(str(seed))
        kinds = {
            self.sound: 34, self.damaged: 26, self.hand_picked: 9, self.noise: 4, self.deep: 2, self.large: 1, self.unicode: 8, self.number: 7, self.date: 4,
            self.doubled: 3, self.lie: 10,
        }  # fmt: skip
        self._kinds, self._weights = list(kinds), list(kinds.values())

    def __iter__(self) -> Iterator[bytes]:
        while True:
            (kind,) = self.chance.choices(self._kinds, self._weights)
            yield kind()

    def sound(self) -> bytes:
        return message(self.chance.randrange, NOW, ids=4_000)

    def damaged(self) -> bytes:
        text = self.sound()
        for _ in range(self.chance.choice((1, 1, 2))):
            text = damage(text, self.chance)
        return text

    def hand_picked(self) -> bytes:
        return self.chance.choice(HAND_PICKED)

    def noise(self) -> bytes:
        found = self.chance.randbytes(self.chance.randrange(60))
        return found if self.chance.randrange(2) else b'{"type":"track","messageId":"' + found + b'","userId":"u","event":"x"}'

    def deep(self) -> bytes:
        depth = self.chance.choice((10, 60, 63, 64, 65, 100, 799, 800, 801, 1_500))
        opening, closing = self.chance.choice((("[", "]"), ('{"a":', "}")))
        return raw(f',"{self.chance.choice(("deep", *BODIES))}":{{"revenue":', opening * depth, "1", closing * depth, "}")

    def large(self) -> bytes:
        return raw(',"properties":{"revenue":1,"text":"', self.chance.choice("aä\U0001f34e") * self.chance.choice((1_000, 8_000, 33_000)), '"}')

    def _text(self) -> str:
        """Letters from everywhere, as JSON text: as they are, escaped, halves of pairs too."""
        ranges = ((0, 0x20), (0x20, 0x7F), (0x80, 0x2FF), (0x300, 0x36F), (0x600, 0x6FF), (0x200B, 0x202E), (0xD800, 0xDFFF), (0xFE00, 0xFFFF), (0x1F300, 0x1F64F), (0xE0000, 0xE007F))
        letters = [chr(self.chance.randrange(*self.chance.choice(ranges))) for _ in range(self.chance.randrange(1, 12))]
        return json.dumps("".join(letters), ensure_ascii=bool(self.chance.randrange(3)))

    def unicode(self) -> bytes:
        text = f'{{"type":"track","messageId":{self._text()},"userId":{self._text()},"event":{self._text()},"properties":{{{self._text()}:{self._text()}}},"context":{{"traits":{{"email":{self._text()},"phone":{self._text()}}}}}}}'
        return text.encode("utf-8", "surrogatepass")

    def number(self) -> bytes:
        digits = "".join(self.chance.choices("0123456789", k=self.chance.choice((1, 3, 17, 25, 400, 1_100))))
        text = self.chance.choice(("", "-", "+", "0")) + digits + self.chance.choice(("", ".", ".5", "." + digits, "e5", "E-300", "e999", "e1000000000", "e"))
        place = self.chance.choice(('"properties":{"revenue":%s}', '"properties":{"revenue":"%s"}', '"messageId":%s', '"userId":%s', '"context":{"protocols":{"event_version":%s}}', '"n":%s'))
        return raw(",", place % text)

    def date(self) -> bytes:
        parts = [f"{self.chance.randrange(-1, high):0{width}d}" for high, width in ((10_100, 4), (14, 2), (33, 2), (26, 2), (62, 2), (62, 2))]
        year, month, day, hour, minute, second = parts
        zone = self.chance.choice(("", "Z", "z", "+02:00", "-0230", "+25:00", " UTC"))
        at = self.chance.choice((f"{year}-{month}-{day}T{hour}:{minute}:{second}{zone}", f"{year}-{month}-{day}", f"2026-03-01T11:{minute}:{second}.{'9' * self.chance.randrange(12)}{zone}"))
        return sound(timestamp=at, messageId=str(self.chance.randrange(500)))

    def doubled(self) -> bytes:
        key = self.chance.choice(("userId", "messageId", "type", "event", "properties", "timestamp", "\\u0075serId"))
        value = self.chance.choice(('"again"', "null", "5", "{}", '"track"', '{"revenue":"x"}'))
        return raw(f',"{key}":{value}', f',"{key}":{value}' if self.chance.randrange(2) else "")

    def lie(self) -> bytes:
        """What a plan would not have: another type for every field that somebody reads."""
        value = self.chance.choice((None, True, "12", "x", [], [1], {}, {"amount": 1}, -1, 1e300, "2026-03-01", ""))
        body = self.chance.choice(BODIES)
        inner = {"revenue": value, "product": {"id": value}, "traits": value, "protocols": {"event_version": value}, "unknown name": value}
        return sound(type=self.chance.choice(CALLS), messageId=str(self.chance.randrange(2_000)), name="Home", previousId="p", groupId="g", **{body: inner if self.chance.randrange(4) else value})

    def encoded(self, body: bytes) -> tuple[bytes, bytes | None]:
        """A body as it is sent, and its Content-Encoding: mostly as it is, else gzip, something that only says so, half of one, or a bomb."""
        kind = self.chance.randrange(60)
        if kind > 5:
            return body, None
        packed = gzip.compress(body, 1)
        return (packed, packed, body, packed[: len(packed) // 2], packed + b"more", _BOMB)[kind], b"gzip"

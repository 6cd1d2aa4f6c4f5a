"""Histories of people of whom it is known who they are, made from a seed: what they have, what they share, what they send. Benches and accuracy tests
resolve them and compare (bench/clusterings.py). Leaves: messages as codes of identifiers, as JSON for the collector, or as standard events in Arrow."""

import json
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from millrace.identity.nodes import NAMESPACES
from millrace.tables.catalogue import IDENTIFIER, TIME

USER, EMAIL, PHONE, DEVICE = range(len(NAMESPACES))
LISTED = ((USER, "null"), (USER, "00000000-0000-0000-0000-000000000000"), (EMAIL, "test@test.com"), (PHONE, "0000000000"), (DEVICE, "undefined"))
"""Junk that today's rules block."""
UNLISTED = ((EMAIL, "noreply@shop.example"), (PHONE, "+49 30 000"), (DEVICE, "device-id-not-set"))
"""Junk that no list knows: it has to be caught by whom it is linked to."""
START = 1_772_323_200
EPOCH = 10_000
"""Messages of an epoch."""


@dataclass(frozen=True)
class Troubles:
    """``guests``: share of people who never log in. The others are what makes identity hard, each as a share: devices on which a second person logs in,
    e-mails that a second person uses, phones that are given to a second person, people with a twin who shares everything but the user id, messages in which
    one identifier is junk; and kiosks, on each of which ``kiosk_users`` log in. ``guests_share``: the second person at a device may be one who never logs in."""

    guests: float = 0.3
    shared_devices: float = 0.0
    shared_emails: float = 0.0
    recycled_phones: float = 0.0
    twins: float = 0.0
    kiosks: int = 0
    kiosk_users: int = 1_000
    junk: float = 0.0
    guests_share: bool = False


class History(NamedTuple):
    """A row of ``messages`` has the codes of a user id, an e-mail, a phone and a device, -1 for none; rows are in the order of the log. For each code:
    its namespace, and the number of whom it truly belongs to (what is shared or junk belongs to nobody but itself). The last codes are ``junk``, by value."""

    messages: np.ndarray
    space: np.ndarray
    label: np.ndarray
    junk: tuple[str, ...]


NOTHING = Troubles()


def make_history(people: int, *, seed: int, troubles: Troubles = NOTHING, repeats: int = 3) -> History:
    """Everyone has a device; who logs in or has an e-mail has up to four, and shows each of his identifiers at least once beside the one that owns his
    events. ``repeats``: further messages for each person."""
    world = _World(people, seed, troubles)
    world.show_everything()
    world.repeat(people * repeats)
    world.share()
    world.twin()
    world.open_kiosks()
    return world.history()


class _World:
    def __init__(self, people: int, seed: int, troubles: Troubles) -> None:
        self.rng, self.troubles, self.people = np.random.default_rng(seed), troubles, people
        self.space, self.label = np.zeros(0, np.int8), np.zeros(0, np.int64)
        self.rows: list[np.ndarray] = []
        who = np.arange(people)
        logs_in = self.rng.random(people) >= troubles.guests
        mailing = self.rng.random(people) < np.where(logs_in, 0.8, 0.5)
        self.members, self.known = who[logs_in], who[logs_in | mailing]
        self.owner = np.full((people, len(NAMESPACES)), -1)
        self.owner[logs_in, USER] = self.add(USER, self.members)
        mails = self.add(EMAIL, who[mailing])
        self.owner[mailing & ~logs_in, EMAIL] = mails[~logs_in[mailing]]
        self.mails = np.r_[mails[logs_in[mailing]], self.add(EMAIL, self._some(self.members, 0.2))]
        self.phones = self.add(PHONE, self._some(self.known, 0.5))
        self.devices = self.add(DEVICE, np.repeat(who, np.where(logs_in | mailing, self.rng.integers(1, 5, people), 1)))

    def add(self, space: int, owners: np.ndarray) -> np.ndarray:
        """Codes of new identifiers."""
        self.space, self.label = np.r_[self.space, np.full(len(owners), space, np.int8)], np.r_[self.label, owners]
        return np.arange(len(self.label) - len(owners), len(self.label))

    def send(self, people: np.ndarray, codes: np.ndarray) -> None:
        """Each person sends a message with what owns his events and one more identifier."""
        rows = self.owner[people]
        rows[np.arange(len(rows)), self.space[codes]] = codes
        self.rows.append(rows)

    def show_everything(self) -> None:
        for codes in (self.devices, self.mails, self.phones):
            self.send(self.label[codes], codes)

    def repeat(self, count: int) -> None:
        """Half of the time not logged in: the device is all there is."""
        codes = self.rng.choice(self.devices, count)
        self.send(self.label[codes], codes)
        self.rows[-1][self.rng.random(count) < 0.5, :DEVICE] = -1

    def share(self) -> None:
        for codes, share in ((self.devices, self.troubles.shared_devices), (self.mails, self.troubles.shared_emails), (self.phones, self.troubles.recycled_phones)):
            among = codes[self.owner[self.label[codes], USER] >= 0]
            shared = self._some(among, share * len(codes) / max(1, len(among)))
            others = self.rng.permutation(self.known if self.troubles.guests_share and codes is self.devices else self.members)
            others = others[np.arange(len(shared)) % len(others)]
            self.send(others[others != self.label[shared]], shared[others != self.label[shared]])
            self._belongs_to_nobody(shared[others != self.label[shared]])

    def twin(self) -> None:
        """Pairs of members: the second one logs in wherever the first one does and gives the same e-mails and phones; what he had himself is the first one's too."""
        pairs = self._some(self.members, self.troubles.twins)
        pairs = self.rng.permutation(pairs[: len(pairs) // 2 * 2]).reshape(-1, 2)
        other = np.full(self.people, -1)
        other[pairs] = pairs[:, ::-1]
        theirs = np.concatenate([self.devices, self.mails, self.phones])
        theirs = theirs[self.label[theirs] < self.people]
        theirs = theirs[other[self.label[theirs]] >= 0]
        self.send(other[self.label[theirs]], theirs)
        self._belongs_to_nobody(theirs)

    def open_kiosks(self) -> None:
        kiosks = self.add(DEVICE, self.label.max() + 1 + np.arange(self.troubles.kiosks))
        users = self.troubles.kiosks * self.troubles.kiosk_users
        self.send(self.rng.choice(self.members, users), np.repeat(kiosks, self.troubles.kiosk_users))

    def history(self) -> History:
        messages = np.concatenate(self.rows)
        messages = messages[self.rng.permutation(len(messages))]
        if not self.troubles.junk:
            return History(messages, self.space, self.label, ())
        known = [*LISTED, *UNLISTED]
        codes = np.array([self.add(space, self.label.max(keepdims=True) + 1)[0] for space, _ in known])
        at = np.flatnonzero(self.rng.random(len(messages)) < self.troubles.junk)
        has = messages[at] >= 0
        slot = (self.rng.random(has.shape) * has).argmax(axis=1)
        picked = (self.rng.random((len(at), len(known))) * (self.space[codes] == slot[:, None])).argmax(axis=1)
        messages[at, slot] = codes[picked]
        return History(messages, self.space, self.label, tuple(value for _, value in known))

    def _some(self, among: np.ndarray, share: float) -> np.ndarray:
        return among[self.rng.random(len(among)) < share]

    def _belongs_to_nobody(self, codes: np.ndarray) -> None:
        self.label[codes] = self.label.max() + 1 + np.arange(len(codes))


def value_of(history: History, code: int) -> str:
    """The clear value of an identifier, as it is spelled most plainly."""
    if (junk := code - len(history.space) + len(history.junk)) >= 0:
        return history.junk[junk]
    return (f"user-{code}", f"person.{code}@mail.example", f"+49301{code:07d}", f"{code:08x}-device")[history.space[code]]


def json_messages(history: History, *, seed: int) -> list[bytes]:
    """The messages as sources send them: e-mails and phones spelled in several ways, in the traits of an identify call or in the context of an event."""
    rng, found = np.random.default_rng(seed), []
    for number, row in enumerate(history.messages.tolist()):
        user, mail, phone, device = (None if code < 0 else value_of(history, code) for code in row)
        style = int(rng.integers(4))
        traits = {"email": mail and (mail, mail.upper(), f" {mail}\t", mail.title())[style], "phone": phone and (phone, f"{phone[:4]} {phone[4:]}", f" {phone[:6]}-{phone[6:]}", phone)[style]}
        kind = {"type": "identify", "traits": traits} if style % 2 else {"type": "track", "event": "Page Seen", "context": {"traits": traits}}
        found.append(json.dumps({"messageId": f"m{number}", "userId": user, "anonymousId": device, **kind}).encode())
    return found


def standard_events(history: History, nodes: pa.Array) -> pa.Table:
    """What millrace/identity/edges.py takes, ``nodes`` being the node of each code; epochs of EPOCH messages, two partitions."""
    has = history.messages >= 0
    offsets = pa.array(np.r_[0, np.cumsum(has.sum(axis=1))], pa.int32())
    taken = nodes.take(pa.array(history.messages[has]))
    entries = pa.StructArray.from_arrays([taken, pa.nulls(len(taken), pa.string())], fields=list(IDENTIFIER))
    number = np.arange(len(history.messages))
    return pa.table(
        {
            "identifiers": pa.ListArray.from_arrays(offsets, entries), "event_time": pa.array((START + number) * 1_000_000).cast(TIME),
            "epoch": pa.array(number // EPOCH + 1), "partition": pa.array(number % 2, pa.int32()), "offset": pa.array(number // 2),
        }
    )  # fmt: skip


def random_nodes(history: History, *, seed: int) -> pa.Array:
    """A node for each code with a token of the usual shape: keyed hashes cannot be told from random numbers."""
    tokens = np.frombuffer(np.random.default_rng(seed).bytes(16 * len(history.space)).hex().encode(), "S32").astype("U32")
    prefixes = np.array([f"{name}:" for name in NAMESPACES])
    return pa.array(np.char.add(prefixes[history.space], tokens).tolist(), pa.string())

"""What explain answers, as the API's description shows it. Identifiers appear masked; a node is named by the first digits of its token."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """Where the log first shows something."""

    epoch: int
    partition: int
    offset: int


@dataclass(frozen=True)
class Node:
    """An identifier: ``node`` tells it from others in the answer, ``value`` is its masked value. ``linked``: how many others it was seen with. ``isolated``: why
    it joins nobody (``blocked``, ``removed``, ``crowded`` or ``shared``). ``person_id`` and ``first_seen`` are null for one outside the component that was asked for."""

    node: str
    namespace: str
    value: str | None
    linked: int
    isolated: str | None
    person_id: str | None
    first_seen: Seen | None


@dataclass(frozen=True)
class End:
    """An end of an edge."""

    node: str
    namespace: str
    value: str | None


@dataclass(frozen=True)
class Edge:
    """Two identifiers seen together: the evidence for an edge. ``verdict`` is ``joins`` or ``refused``, ``reason`` then ``blocked``, ``removed``, ``crowded``,
    ``shared``, ``unique``, ``limit`` or ``parted``, which ``because`` says in words. ``first_at`` and ``last_at`` are event times; ``layer`` is where it was seen: up to the
    cut (``batch``), after it (``speed``), both (``merged``) or never: then somebody decided it (``decision``), at ``first_at``. ``decision``: the number of the
    decision about the two, where one counts."""

    a: End
    b: End
    verdict: str
    reason: str | None
    because: str | None
    seen_count: int
    first_at: str
    last_at: str
    first_seen: Seen | None
    layer: str
    decision: int | None


@dataclass(frozen=True)
class Counts:
    """Of the whole component, whatever of it is shown. ``refused`` edges may lead out of it. ``decided``: pairs never seen together that decisions join."""

    persons: int
    nodes: int
    edges: int
    refused: int
    decided: int


@dataclass(frozen=True)
class Graph:
    """The component around an identifier, nearest edges first. ``truncated``: it has more edges than were asked for."""

    nodes: list[Node]
    edges: list[Edge]
    refused: list[Edge]
    counts: Counts
    truncated: bool


@dataclass(frozen=True)
class Change:
    """What a publish changed for the person an identifier belonged to: ``change`` is ``new``, ``merged``, ``split``, ``moved``, ``renamed``, ``isolated``, ``freed`` or
    ``gone``, of so many ``nodes``. ``cause``: ``edges`` of the epochs after ``cut_before`` up to ``cut``, ``rules``, ``decisions``, several of them, ``rebuild`` or ``rollback``. ``own``: the
    identifier itself is among the nodes."""

    manifest_id: int
    published_at: str
    cut_before: int
    cut: int
    cause: str
    change: str
    person_before: str | None
    person_after: str | None
    nodes: int
    own: bool


@dataclass(frozen=True)
class History:
    """Changes that were published, newest first; what the epochs after the cut change is not yet among them. ``unknown``: manifests whose changes could not be
    found out, because the version served before could no longer be read."""

    changes: list[Change]
    truncated: bool
    unknown: list[int]


@dataclass(frozen=True)
class ReceiptBlock:
    """What the answer stands on, as in a profile; ``GET /v1/receipts/{id}:replay`` computes the answer again."""

    id: str
    manifest_id: int | None
    cut: int
    head: int
    as_of: str
    definitions_hash: str
    staleness_ms: int
    complete: bool
    decisions: int


@dataclass(frozen=True)
class Explanation:
    """Who an identifier belongs to, and why."""

    person_id: str
    identifier: Node
    because: str
    graph: Graph
    history: History
    receipt: ReceiptBlock


@dataclass(frozen=True)
class Why:
    """Whether two identifiers are one person. ``path``: the shortest way of evidence; over accepted edges when they are, else over all, empty when nothing
    connects them."""

    same_person: bool
    connected: bool
    because: str
    a: Node
    b: Node
    path: list[Edge]
    receipt: ReceiptBlock


@dataclass(frozen=True)
class SuperNode:
    """One of the identifiers seen with most others. It keeps its events and its profile, whether it joins others or not."""

    node: str
    namespace: str
    value: str | None
    linked: int
    linked_by_namespace: dict[str, int]
    isolated: str | None
    because: str
    sample: list[End]


@dataclass(frozen=True)
class SuperNodes:
    """The most linked identifiers, and how many are isolated by reason, of all."""

    supernodes: list[SuperNode]
    isolated: dict[str, int]
    receipt: ReceiptBlock

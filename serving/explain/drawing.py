"""A picture of an explanation as SVG: persons as tinted grounds, identifiers by the colour of their namespace, refused edges dashed with their reason."""

import math
import textwrap
from collections.abc import Iterator
from xml.sax.saxutils import escape

from millrace.identity.nodes import NAMESPACES
from serving.explain.answers import Edge, Explanation, Node
from serving.explain.layout import places, spread

EDGE = 150.0
"""Pixels of an edge."""
MARGIN, HEAD, LINE = 90.0, 20.0, 19.0
LABELLED = 45
"""Edges up to which each has its evidence written at it."""
COLOURS = dict(zip(NAMESPACES, ("#2f5fb3", "#1f8a70", "#b7791f", "#7a5ea8"), strict=True))
GROUNDS = ("#2f5fb3", "#d08a2e", "#3a9d6e", "#a4528f", "#5b7c99", "#8a7a2e")
REFUSED, INK, FAINT = "#c0392b", "#22303c", "#6b7a88"
_STYLE = (
    "text{font-family:Inter,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif;fill:#22303c}"
    ".halo{paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}"
)


def draw(found: Explanation) -> str:
    """The text of an SVG file."""
    nodes = found.graph.nodes
    number = {node.node: at for at, node in enumerate(nodes)}
    edges = [*found.graph.edges, *found.graph.refused]
    at = places(len(nodes), [(number[edge.a.node], number[edge.b.node]) for edge in edges])
    at = spread(at * EDGE, width=92, height=74)
    corner = at.min(axis=0)
    size = at.max(axis=0) - corner + 2 * MARGIN
    width = max(float(size[0]), 720.0)
    words = textwrap.wrap(found.because, int(width / 7.6)), textwrap.wrap(_point(found), int(width / 6.2))
    top = HEAD + LINE * (len(words[0]) + len(words[1]) + 1)
    at = at - corner + ((width - size[0]) / 2 + MARGIN, top + MARGIN - 20)
    height = top + float(size[1]) + 56
    where = {node.node: (float(x), float(y)) for node, (x, y) in zip(nodes, at, strict=True)}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img">',
        f"<title>{escape(found.because)}</title><style>{_STYLE}</style><rect width='100%' height='100%' fill='#fff'/>",
        *_words(*words),
        *_grounds(found, where), *(_line(edge, where) for edge in edges),
        *(part for node in nodes for part in _node(node, where[node.node], node == found.identifier)),
        *(_label(edge, where) for edge in edges if len(edges) <= LABELLED or (edge.reason and len(found.graph.refused) <= LABELLED)),
        *_persons(found, where), *_legend(nodes, bool(found.graph.refused), height), "</svg>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _point(found: Explanation) -> str:
    receipt, counts = found.receipt, found.graph.counts
    rest = f"; shown are the {len(found.graph.edges) + len(found.graph.refused)} edges nearest to it" if found.graph.truncated else ""
    batch = f"batch version {receipt.manifest_id} up to epoch {receipt.cut}" if receipt.manifest_id else "no batch version yet"
    shown = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in ((counts.persons, "person"), (counts.nodes, "identifier"), (counts.edges, "edge")))
    return f"{shown}, {counts.refused} refused{rest}. As of epoch {receipt.head}, {batch}."


def _words(strong: list[str], faint: list[str]) -> Iterator[str]:
    for line, text in enumerate([*strong, *faint]):
        look = f'font-size="14" font-weight="600" fill="{INK}"' if line < len(strong) else f'font-size="12" style="fill:{FAINT}"'
        yield f'<text x="{HEAD}" y="{HEAD + LINE * (line + 0.8):.0f}" {look}>{escape(text)}</text>'


def _grounds(found: Explanation, where: dict[str, tuple[float, float]]) -> Iterator[str]:
    """Under each person a ground that follows its edges, so that it never lies under somebody else's identifier."""
    for number, (_, members) in enumerate(_by_person(found)):
        colour = GROUNDS[number % len(GROUNDS)]
        yield f'<g opacity="{0.17 if number == 0 else 0.13}" stroke="{colour}" fill="{colour}" stroke-width="64" stroke-linecap="round">'
        for edge in found.graph.edges:
            if edge.a.node in members and edge.b.node in members:
                (x1, y1), (x2, y2) = where[edge.a.node], where[edge.b.node]
                yield f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
        yield from (f'<circle cx="{where[name][0]:.1f}" cy="{where[name][1]:.1f}" r="8"/>' for name in members)
        yield "</g>"


def _by_person(found: Explanation) -> list[tuple[str, list[str]]]:
    """Persons with the identifiers that are shown, the one asked for first."""
    people: dict[str, list[str]] = {found.person_id: []}
    for node in found.graph.nodes:
        if node.person_id:
            people.setdefault(node.person_id, []).append(node.node)
    return list(people.items())


def _persons(found: Explanation, where: dict[str, tuple[float, float]]) -> Iterator[str]:
    for number, (person, members) in enumerate(_by_person(found)):
        top = min(members, key=lambda name: where[name][1])
        x, y = where[top]
        yield (
            f'<text class="halo" x="{x:.1f}" y="{y - 38:.1f}" text-anchor="middle" font-size="11" font-weight="700" '
            f'style="fill:{GROUNDS[number % len(GROUNDS)]}">{escape(person[:10])}…</text>'
        )


def _line(edge: Edge, where: dict[str, tuple[float, float]]) -> str:
    (x1, y1), (x2, y2) = where[edge.a.node], where[edge.b.node]
    look = f'stroke="{REFUSED}" stroke-width="1.6" stroke-dasharray="6 5"' if edge.reason else f'stroke="#44535f" stroke-width="{1.4 + 0.5 * math.log2(1 + edge.seen_count):.1f}"'
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {look}/>'


def _label(edge: Edge, where: dict[str, tuple[float, float]]) -> str:
    (x1, y1), (x2, y2) = where[edge.a.node], where[edge.b.node]
    text = edge.reason or (f"decision {edge.decision}" if edge.first_seen is None else "") or f"{edge.seen_count}× {edge.first_at[:10]}"
    colour, size = (REFUSED, 11) if edge.reason else (FAINT, 10)
    return f'<text class="halo" x="{(x1 + x2) / 2:.1f}" y="{(y1 + y2) / 2 + 4:.1f}" text-anchor="middle" font-size="{size}" style="fill:{colour}">{escape(text)}</text>'


def _node(node: Node, at: tuple[float, float], is_asked: bool) -> Iterator[str]:
    x, y = at
    colour = COLOURS.get(node.namespace, FAINT)
    radius = 13 + (min(14, 3 * math.log10(max(node.linked, 1))) if node.isolated else 0)
    if is_asked:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius + 5:.1f}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
    look = f'fill="#fff" stroke="{colour}" stroke-width="3" stroke-dasharray="4 3"' if node.isolated else f'fill="{colour}" stroke="#fff" stroke-width="2"'
    yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" {look}><title>{escape(f"{node.node}, seen with {node.linked} others")}</title></circle>'
    if node.isolated:
        yield f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" font-size="11" font-weight="700" style="fill:{colour}">{node.linked:,}</text>'
    below = y + radius + (20 if is_asked else 15)
    yield f'<text class="halo" x="{x:.1f}" y="{below:.1f}" text-anchor="middle" font-size="12">{escape(_shown(node))}</text>'
    if node.isolated:
        yield f'<text class="halo" x="{x:.1f}" y="{below + 13:.1f}" text-anchor="middle" font-size="10" style="fill:{REFUSED}">{node.isolated}</text>'


def _shown(node: Node) -> str:
    """The masked value; the digits of its token where nothing of the value may be shown."""
    return node.value if node.value and node.value.strip("•") else node.node.partition(":")[2]


def _legend(nodes: list[Node], has_refused: bool, height: float) -> Iterator[str]:
    x, y = HEAD + 8, height - 22
    for namespace in (name for name in NAMESPACES if any(node.namespace == name for node in nodes)):
        yield f'<circle cx="{x:.0f}" cy="{y - 4:.0f}" r="6" fill="{COLOURS[namespace]}"/><text x="{x + 11:.0f}" y="{y:.0f}" font-size="11">{namespace}</text>'
        x += 34 + 6.4 * len(namespace)
    entries = [("seen together", "#44535f", "")] + ([("refused", REFUSED, 'stroke-dasharray="6 5"')] if has_refused else [])
    for text, colour, dashes in entries:
        yield f'<line x1="{x:.0f}" y1="{y - 4:.0f}" x2="{x + 26:.0f}" y2="{y - 4:.0f}" stroke="{colour}" stroke-width="2" {dashes}/>'
        yield f'<text x="{x + 32:.0f}" y="{y:.0f}" font-size="11">{text}</text>'
        x += 52 + 6.4 * len(text)
    if any(node.isolated for node in nodes):
        yield f'<circle cx="{x + 2:.0f}" cy="{y - 4:.0f}" r="7" fill="#fff" stroke="{INK}" stroke-width="2" stroke-dasharray="4 3"/>'
        yield f'<text x="{x + 15:.0f}" y="{y:.0f}" font-size="11">isolated, with the number of others it was seen with</text>'

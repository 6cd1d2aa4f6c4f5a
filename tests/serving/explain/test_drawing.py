"""The picture of a person: well-formed, with every identifier and edge of the explanation, refused ones dashed; and the same graph gives the same picture."""

import io
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from serving.explain.answers import Explanation
from serving.explain.drawing import draw
from serving.explain.layout import places, spread
from serving.explain.tree import tree_of
from tests.serving.explain.ruled import ANN, BOB, DEVICE, KIOSK, MAIL, PHONE, Explained, together

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def found(tmp_path: Path) -> Explanation:
    """Ann with a mail and a device that is by way of a phone Bob's mail's; and a kiosk."""
    tenant = Explained(tmp_path)
    tenant.write(*together((ANN, MAIL), (ANN, DEVICE), (ANN, KIOSK), (BOB, KIOSK), (BOB, PHONE)))
    tenant.publish(cut=1)
    tenant.write(*together((DEVICE, PHONE)))
    return tenant.ask(("explain", 99), ANN)


def test_a_picture_is_well_formed_and_has_every_identifier_and_edge(found: Explanation) -> None:
    drawing = ElementTree.fromstring(draw(found))
    texts = [text.text for text in drawing.iter(f"{SVG}text")]
    assert {"n•••", "m•••", "d•••", "k•••", "p•••"} <= set(texts)
    dashed = [line for line in drawing.iter(f"{SVG}line") if line.get("stroke-dasharray")]
    assert len(dashed) == len(found.graph.refused) + 1, "one is in the legend"
    assert texts.count("shared") == 1 + sum(edge.reason == "shared" for edge in found.graph.refused) and "unique" in texts
    assert len([person for person in {node.person_id for node in found.graph.nodes} if person and f"{person[:10]}…" in texts]) == 2


def test_nothing_lies_outside_of_the_picture_and_no_two_identifiers_on_each_other(found: Explanation) -> None:
    drawing = ElementTree.fromstring(draw(found))
    _, _, width, height = map(float, drawing.get("viewBox", "").split())
    at = [(float(circle.get("cx", 0)), float(circle.get("cy", 0))) for circle in drawing.iter(f"{SVG}circle") if circle.find(f"{SVG}title") is not None]
    assert len(at) == len(found.graph.nodes)
    assert all(20 < x < width - 20 and 20 < y < height - 60 for x, y in at)
    assert min(math.dist(one, other) for number, one in enumerate(at) for other in at[:number]) > 50


def test_the_same_explanation_gives_the_same_picture(found: Explanation) -> None:
    assert draw(found) == draw(found)


def test_a_value_that_looks_like_markup_stays_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.serving.store.by_hand.hint", lambda node: '<a href="x">&')
    tenant = Explained(tmp_path)
    tenant.write(*together((ANN, MAIL)))
    drawing = ElementTree.fromstring(draw(tenant.ask(("explain", 9), ANN)))
    assert [text.text for text in drawing.iter(f"{SVG}text")].count('<a href="x">&') == 2


def test_a_tree_names_each_identifier_once_below_where_it_was_reached_from(found: Explanation) -> None:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(tree_of(found))
    lines = console.export_text().splitlines()
    assert lines[0].startswith("user_id n•••") and found.person_id in lines[0]
    assert sum("email m•••" in line for line in lines) == 1
    assert any("✗ anonymous_id k•••" in line and "refused: shared" in line for line in lines)


@pytest.mark.parametrize("count", [1, 2, 3, 40])
def test_places_of_a_chain_are_a_line_of_equal_steps(count: int) -> None:
    at = places(count, [(number, number + 1) for number in range(count - 1)])
    assert np.allclose(np.linalg.norm(np.diff(at, axis=0), axis=1), 1, atol=0.02)
    assert count < 3 or abs(np.linalg.norm(at[-1] - at[0]) - (count - 1)) < 0.02 * count


def test_parts_without_an_edge_between_them_lie_apart() -> None:
    at = places(4, [(0, 1), (2, 3)])
    assert min(np.linalg.norm(at[one] - at[other]) for one in (0, 1) for other in (2, 3)) > 1


def test_crowded_places_are_spread_until_their_boxes_hardly_overlap() -> None:
    at = spread(places(60, [(0, number) for number in range(1, 60)]) * 40, width=92, height=74)
    gap = np.abs(at[:, None] - at[None]) / (92, 74) + 9 * np.eye(60)[:, :, None]
    assert gap.max(axis=2).min() > 0.8

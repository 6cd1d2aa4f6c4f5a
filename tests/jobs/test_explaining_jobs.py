"""The commands that explain identity, over tables alone: what they print, what they write, how they end."""

import json
from pathlib import Path

import pytest

from jobs import draw_person, report_supernodes
from millrace.identity.nodes import node_of
from millrace.keys import load_or_create_keys
from tests.serving.explain.ruled import Explained, together


@pytest.fixture
def root(tmp_path: Path) -> Path:
    secret = load_or_create_keys(tmp_path, "t").token_secret
    ann, bob, mail, kiosk = (node_of(*one, secret) or "" for one in (("user_id", "ann"), ("user_id", "bob"), ("email", "ann@x.org"), ("anonymous_id", "kiosk")))
    tenant = Explained(tmp_path)
    tenant.write(*together((ann, mail), (ann, kiosk), (bob, kiosk)))
    tenant.publish(cut=1)
    return tmp_path


def arguments(root: Path, *more: str) -> list[str]:
    return ["--root", str(root), "--tenant", "t", *more]


def test_a_person_is_drawn_and_printed_as_a_tree(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert draw_person.main(arguments(root, "email:Ann@X.org", "--out", str(root / "ann.svg"))) == 0
    printed = capsys.readouterr().out
    assert "is one person with 1 other identifier: 1 edge is accepted; 1 edge is refused" in printed and "refused: shared" in printed
    drawn = (root / "ann.svg").read_text()
    assert drawn.startswith("<svg") and "ann@x.org" not in drawn + printed


@pytest.mark.parametrize(("identifier", "code", "said"), [("user_id:nobody", 4, "no event up to epoch 1"), ("passport:1", 2, "write namespace:value")])
def test_an_identifier_that_is_none_is_told_so(root: Path, capsys: pytest.CaptureFixture[str], identifier: str, code: int, said: str) -> None:
    assert draw_person.main(arguments(root, identifier, "--out", str(root / "x.svg"))) == code
    assert said in capsys.readouterr().err
    assert not (root / "x.svg").exists()


def test_a_folder_that_is_not_there_is_told_instead_of_a_trace(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert draw_person.main(arguments(root, "user_id:ann", "--out", str(root / "no" / "x.svg"))) == 2
    assert "x.svg cannot be written (No such file or directory); name a file in a folder that is there" in capsys.readouterr().err


def test_supernodes_are_reported_as_a_table_and_as_json(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report_supernodes.main(arguments(root)) == 0
    printed = capsys.readouterr().out
    assert "nobody: shared" in printed and "isolated of all: 0 blocked, 1 shared; as of epoch 1" in printed
    assert report_supernodes.main(arguments(root, "--json", "--most", "1")) == 0
    assert len(json.loads(capsys.readouterr().out)["supernodes"]) == 1


def test_without_keys_the_report_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report_supernodes.main(arguments(tmp_path)) == 2
    assert "no keys at" in capsys.readouterr().err

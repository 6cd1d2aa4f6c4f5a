"""Campaign parameters and click ids: what clients say, and what addresses say in all the ways they are written."""

import pytest

from tests.millrace.enrichment.enriched import family, page

SHOP = "https://shop.example.org/"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(page(f"{SHOP}?utm_source=news&utm_medium=email&utm_campaign=May&utm_term=tea&utm_content=top&utm_id=7"),
                     {"source": "news", "medium": "email", "name": "May", "term": "tea", "content": "top", "id": "7"}, id="all six of the address"),
        pytest.param({"context": {"campaign": {"source": "crm", "name": " Spring "}}}, {"source": "crm", "name": "Spring"}, id="what the client names"),
        pytest.param(page(f"{SHOP}?utm_source=a&utm_medium=cpc", campaign={"source": "b", "medium": ""}), {"source": "b", "medium": "cpc"}, id="the client's word first"),
        pytest.param(page(f"{SHOP}?utm_source=a&utm_source=b"), {"source": "a"}, id="repeated: the first"),
        pytest.param(page(f"{SHOP}?utm_source=&utm_source=%20&utm_source=b"), {"source": "b"}, id="repeated: the first that is not empty"),
        pytest.param(page(f"{SHOP}?utm_source=caf%C3%A9+noir&utm%5Fmedium=e%26mail"), {"source": "café noir", "medium": "e&mail"}, id="encoded names and values"),
        pytest.param(page(f"{SHOP}?utm_source=%FF%FE"), {"source": "\ufffd\ufffd"}, id="bytes that are no UTF-8"),
        pytest.param(page(f"{SHOP}?UTM_Source=News"), {"source": "News"}, id="names in any case"),
        pytest.param(page(f"{SHOP}?x=1#utm_source=a"), {}, id="a fragment is no query"),
        pytest.param(page("shop.example.org/a?utm_source=a"), {"source": "a"}, id="no scheme"),
        pytest.param(page("/a?back=https://x.org/?y&utm_source=a"), {"source": "a"}, id="an address in an address"),
        pytest.param({"context": {"page": {"search": "?utm_source=a"}}}, {"source": "a"}, id="only the query"),
        pytest.param({"properties": {"url": f"{SHOP}?utm_source=a"}}, {"source": "a"}, id="address of a page call"),
        pytest.param(page("http://[::1?utm_source=a"), {}, id="an address that is none"),
        pytest.param(page(f"{SHOP}?" + "&".join(f"p{n}=1" for n in range(600)) + "&utm_source=a"), {}, id="more parameters than anybody reads"),
        pytest.param({"context": {"campaign": "spring"}, "properties": {"url": 5}}, {}, id="other kinds of values"),
        pytest.param({}, {}, id="nothing"),
    ],
)  # fmt: skip
def test_campaign(message, expected):
    assert family("campaign", message) == {f"campaign.{name}": value for name, value in expected.items()}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("gclid=EAIa_1", ("google", "gclid", "EAIa_1"), id="google"),
        pytest.param("fbclid=IwAR0", ("meta", "fbclid", "IwAR0"), id="meta"),
        pytest.param("msclkid=9", ("microsoft", "msclkid", "9"), id="microsoft"),
        pytest.param("ttclid=E.C.P", ("tiktok", "ttclid", "E.C.P"), id="tiktok"),
        pytest.param("ScCid=abc", ("snapchat", "sccid", "abc"), id="in the case the network writes"),
        pytest.param("fbclid=2&gclid=1", ("google", "gclid", "1"), id="two networks: by the list, not by the order on the address"),
        pytest.param("gclid=&fbclid=2", ("meta", "fbclid", "2"), id="an empty one is none"),
    ],
)
def test_click(query, expected):
    assert family("click", page(f"{SHOP}?{query}")) == dict(zip(("click.network", "click.parameter", "click.id"), expected, strict=True))


def test_no_click_id_is_no_click():
    assert family("click", page(f"{SHOP}?glid=1")) == {}

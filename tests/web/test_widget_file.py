"""The widget's file as a site's browser meets it: from another origin, cached, revalidated, compressed."""

import gzip

import httpx
import pytest

from tests.conftest import ROOT
from tests.support.running import Running
from tests.web.conftest import Start
from web.middleware import SECURITY_HEADERS

BUILT = (ROOT / "web/static/widget.js").read_bytes()
SITE = {"origin": "https://somebodys.book.example"}
FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture
def app(start: Start) -> Running:
    return start(ready=False, ingest_on_start=False)


def named(app: Running) -> str:
    """The address under which the content of today stays, as the server tells it."""
    return httpx.head(f"{app.url}/widget.js").headers["content-location"]


def test_the_file_is_the_built_one_and_any_page_may_load_it(app: Running) -> None:
    answer = httpx.get(f"{app.url}/widget.js", headers=SITE)
    assert answer.status_code == 200
    assert answer.content == BUILT
    headers = answer.headers
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    assert headers["access-control-allow-origin"] == "*"
    assert headers["cross-origin-resource-policy"] == "cross-origin"
    assert headers["x-request-id"]
    assert {name: headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "set-cookie" not in headers


def test_an_allowed_origin_gets_its_own_name_and_caches_know(start: Start) -> None:
    app = start(ready=False, ingest_on_start=False, allowed_origins=[SITE["origin"]])
    headers = httpx.get(f"{app.url}/widget.js", headers=SITE).headers
    assert headers.get_list("access-control-allow-origin") == [SITE["origin"]]
    assert {"accept-encoding", "origin"} <= {name.strip().lower() for name in headers["vary"].split(",")}


def test_under_its_name_it_is_looked_at_again_soon(app: Running) -> None:
    first = httpx.get(f"{app.url}/widget.js")
    assert first.headers["cache-control"] == "public, max-age=300, stale-while-revalidate=86400"
    tag = first.headers["etag"]
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = httpx.get(f"{app.url}/widget.js", headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("etag", "cache-control", "vary", "content-location", "access-control-allow-origin"):
            assert again.headers[name] == first.headers[name]
    for unknown in ('"other"', tag.strip('W/"'), ""):
        changed = httpx.get(f"{app.url}/widget.js", headers={"if-none-match": unknown})
        assert (changed.status_code, changed.content) == (200, BUILT)


def test_under_its_hash_it_is_kept_for_a_year(app: Running) -> None:
    path = named(app)
    hashed = path.removeprefix("/widget-").removesuffix(".js")
    assert len(hashed) == 16
    for address in (path, f"/widget.js?v={hashed}"):
        answer = httpx.get(app.url + address, headers=SITE)
        assert (answer.status_code, answer.content) == (200, BUILT)
        assert answer.headers["cache-control"] == FOREVER
        assert answer.headers["access-control-allow-origin"] == "*"
        kept = httpx.get(app.url + address, headers={"if-none-match": answer.headers["etag"]})
        assert (kept.status_code, kept.headers["cache-control"]) == (304, FOREVER)


def test_another_hash_is_never_kept_for_this_content(app: Running) -> None:
    old = httpx.get(f"{app.url}/widget.js?v=0123456789abcdef")
    assert (old.status_code, old.content) == (200, BUILT), "a page that names an older one still works"
    assert "immutable" not in old.headers["cache-control"]
    gone = httpx.get(f"{app.url}/widget-0123456789abcdef.js")
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    assert "immutable" not in gone.headers.get("cache-control", "")


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip;q=0.5", "GZIP;q=1"])
def test_it_travels_compressed(app: Running, accepted: str) -> None:
    with httpx.stream("GET", f"{app.url}/widget.js", headers={"accept-encoding": accepted}) as answer:
        sent = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
        assert int(answer.headers["content-length"]) == len(sent) < 40_000
    assert gzip.decompress(sent) == BUILT
    assert "accept-encoding" in answer.headers["vary"]


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "gzip; q=0.000"])
def test_it_travels_plain_where_that_is_wanted(app: Running, accepted: str) -> None:
    with httpx.stream("GET", f"{app.url}/widget.js", headers={"accept-encoding": accepted}) as answer:
        assert b"".join(answer.iter_raw()) == BUILT
        assert "content-encoding" not in answer.headers


def test_its_head_is_told_without_its_body(app: Running) -> None:
    for address in ("/widget.js", named(app)):
        whole = httpx.get(app.url + address, headers={"accept-encoding": "identity"}).headers
        head = httpx.head(app.url + address, headers={"accept-encoding": "identity"})
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "content-type", "etag", "cache-control", "content-location"):
            assert head.headers[name] == whole[name]


def test_nothing_can_be_put_there(app: Running) -> None:
    refused = httpx.post(f"{app.url}/widget.js", content=b"alert(1)")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")

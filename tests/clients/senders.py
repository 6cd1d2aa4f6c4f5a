"""Runs the stock clients as their users do: in Python and in Node.js as programs, in Chromium as a page. The tests of the clients call ``tell``."""

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

from tests.clients import stories

FOLDER = Path(__file__).resolve().parent
PATIENCE_S = 300
STORIES = {
    "python-segment": stories.spec_story, "python-rudderstack": stories.spec_story, "python-posthog": stories.posthog_story,
    "python-snowplow": partial(stories.snowplow_story, times=2), "node-segment": stories.spec_story, "node-rudderstack": stories.spec_story,
    "node-snowplow": partial(stories.snowplow_story, times=2), "browser-segment": stories.browser_story, "browser-rudderstack": stories.browser_story,
    "browser-posthog": partial(stories.posthog_story, in_browser=True),
}  # fmt: skip
"""By client: where it runs, and whose it is."""
PYTHON, NODE, BROWSER = ([name for name in STORIES if name.startswith(where)] for where in ("python", "node", "browser"))
_CHROMIUM = [
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    # PostHog's client sends nothing for browsers that say they are headless
    "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36",
]  # fmt: skip


@contextlib.contextmanager
def telling(client: str, host: str, key: str, user: str, *, leaves: bool = True) -> Iterator[None]:
    """Tells the client's story to a host; inside, a program has said that all is sent, and a page is open. With ``leaves`` a page
    whose client sends the rest when it is left does so; it forgets what is refused then."""
    where, _, name = client.partition("-")
    if where == "browser":
        with _page(name, {"host": host, "key": key, "user": user, "leaves": str(leaves)}):
            yield
        return
    program = [str(FOLDER / ".venv" / "bin" / "python"), str(FOLDER / "python" / "send.py")] if where == "python" else ["node", str(FOLDER / "node" / "send.mjs")]
    assert Path(program[0]).exists() or where == "node", "the Python clients have an environment of their own: `make test` makes it"
    ended = subprocess.run([*program, name, host, key, user], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ended.returncode == 0 and '{"sent":' in ended.stdout, ended.stdout + ended.stderr
    yield


class _Files(SimpleHTTPRequestHandler):
    """The pages and the packages they load; a POST says that a page has told its story."""

    told: threading.Event

    def translate_path(self, path: str) -> str:
        path = path.partition("?")[0]
        return str(FOLDER / path[1:] if path.startswith("/node_modules/") else FOLDER / "browser" / path[1:])

    def do_POST(self) -> None:
        self.told.set()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def _page(name: str, query: dict[str, str]) -> Iterator[None]:
    """The page of a client in Chromium, of another origin than the collector."""
    told = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Files", (_Files,), {"told": told})) as server, tempfile.TemporaryDirectory() as profile:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = f"http://127.0.0.1:{server.server_address[1]}/{name}.html?{urlencode(query)}"
        browser = subprocess.Popen([*_CHROMIUM, f"--user-data-dir={profile}", page], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert told.wait(PATIENCE_S), f"the page {name}.html did not tell its story"
            yield
        finally:
            browser.terminate()
            browser.wait(30)
            server.shutdown()

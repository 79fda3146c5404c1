"""The page: what it says, that nothing leaks into its markup, and how a real browser shows it."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from millis.errors import MillisError
from millis.frontier import Frontier
from millis.record import Record
from millis.report.html import render, write_html
from millis.sweep.frontier import frontier as find_frontier

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PROBE = """<script>
window.faults = [];
addEventListener("error", event => faults.push(event.message));
addEventListener("load", () => setTimeout(() => parent.postMessage(JSON.stringify({
  faults, width: document.documentElement.scrollWidth, window: innerWidth,
  drawn: [...document.querySelectorAll(".js-plotly-plot")].map(plot => plot.querySelectorAll("svg path").length),
  overflowing: [...document.querySelectorAll(".js-plotly-plot")].filter(plot => plot.scrollWidth > innerWidth).length,
}), "*"), 1000));
</script>"""


@pytest.fixture(scope="module")
def page(records: list[Record], frontier: Frontier) -> str:
    return render(records, frontier, "Three classes", {"latency_p50_ms": 2.0, "quality_drop": 2.5, "size_bytes": None})


def without_plotly(page: str) -> str:
    return page.replace(get_plotlyjs(), "")


def test_answers_first(page: str) -> None:
    headline = re.search(r'<p class="headline">(.*?)</p>', page)[1]
    start = (
        "transformer 3x384 int8 keeps the budget (p50 ≤ 2 ms, quality drop ≤ 2.5 points) with probability &gt; 99 %: "
    )
    assert headline.startswith(f"{start}validation accuracy 92.2, test accuracy 92.0 (2.0 below the teacher)")
    assert "against teacher" in page
    assert "3 of 600 texts were truncated" in page
    assert "$" not in without_plotly(page)


def test_loads_nothing_from_a_network(page: str) -> None:
    assert page.count(get_plotlyjs()) == 1
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", without_plotly(page))
    assert not re.search(r"@import|url\(", without_plotly(page))


def test_texts_of_records_are_escaped(records: list[Record]) -> None:
    evil = "<script>alert(1)</script>"
    attacked = [
        replace(
            record,
            name=f"{record.name} {evil}",
            artifact=evil,
            notes=[evil],
            environment={evil: evil},
            config={**record.config, f"key {evil}": f"{evil} {i}"},
        )
        for i, record in enumerate(records)
    ]
    page = render(attacked, find_frontier(attacked, resamples=5), evil)
    assert "<script>alert" not in page
    assert evil in unescape(page)


def test_only_a_teacher(records: list[Record]) -> None:
    page = render(records[:1], find_frontier(records[:1], resamples=5), "Alone")
    assert "Only the teacher has been measured" in page
    assert "The frontier has one model only" in page


def test_written_whole_or_not_at_all(tmp_path: Path, records: list[Record], frontier: Frontier) -> None:
    write_html(tmp_path / "new" / "frontier.html", records, frontier, "Three classes")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["frontier.html"]
    with pytest.raises(MillisError, match="got 0 teacher records"):
        write_html(tmp_path / "none.html", records[1:], frontier, "Three classes")
    assert not (tmp_path / "none.html").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser(tmp_path: Path, page: str, width: int) -> None:
    # A frame, because a headless window is never narrower than about 500 px; the probe reports to the frame's parent.
    (tmp_path / "page.html").write_text(page.replace("<head>", f"<head>{PROBE}"), encoding="utf-8")
    (tmp_path / "frame.html").write_text(
        "<pre></pre>"
        "<script>addEventListener('message', e => document.querySelector('pre').textContent = e.data)</script>"
        f"<iframe src='page.html' style='width:{width}px;height:4000px;border:0'></iframe>",
        encoding="utf-8",
    )
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --disable-dev-shm-usage --virtual-time-budget=10000"
    command = [CHROMIUM, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,4100"]
    done = subprocess.run(
        [*command, "--dump-dom", (tmp_path / "frame.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    seen = json.loads(unescape(re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)[1]))
    assert seen["faults"] == []
    assert seen["window"] == width
    assert seen["width"] <= width
    assert seen["overflowing"] == 0
    assert len(seen["drawn"]) == 3
    assert min(seen["drawn"]) > 10

"""Pages in a real browser: opened from disk without a network, used as a reader uses them, looked at by axe-core."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from cairn.cli.main import main
from cairn.report.words import microseconds
from report.browser import AXE, MISSING, axe_findings, chromium, complaints, open_page
from report.climbs import DIFF, ClimbOnDisk, registry, small

pytestmark = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two climbs, their pages, a comparison and a gallery, made by the command itself."""
    root = tmp_path_factory.mktemp("a project")
    runs = registry(root, ["night"])
    small(runs / "device", kind="measured")
    for arguments in (
        ["night"],
        ["device"],
        ["--compare", "night", "device", "-o", str(root / "compare.html")],
        ["--gallery", str(runs), "-o", str(runs / "gallery.html")],
    ):
        report(root, *arguments)
    return root


def report(root: Path, *arguments: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["report", "--root", str(root), *arguments])
    assert stop.value.code == 0


def page_of(pages: Path, run: str) -> Path:
    return pages / ".cairn" / "runs" / run / "report.html"


def cells(browser: Any, column: int) -> list[str]:
    script = (
        "return [...document.querySelectorAll('#attempt-table tbody tr')].filter((row) => !row.hidden)"
        ".map((row) => row.cells[arguments[0]].textContent.trim())"
    )
    return list(browser.execute_script(script, column))


def test_the_numbers_on_the_page_are_those_of_the_ledger(browser: Any, pages: Path) -> None:
    open_page(browser, page_of(pages, "night"))
    ledger = pages / ".cairn" / "runs" / "night" / "ledger.jsonl"
    events = [json.loads(line) for line in ledger.read_text().splitlines()]
    judged = {each["attempt"]: each for each in events if each["event"] == "attempt.judged"}
    decided = {each["attempt"]: each for each in events if each["event"] == "attempt.decided"}
    rows = browser.execute_script(
        "return [...document.querySelectorAll('#attempt-table tbody tr')]"
        ".map((row) => [...row.cells].map((cell) => [cell.textContent.trim(), cell.dataset.value ?? null]))"
    )
    assert [row[0][0] for row in rows] == list(decided)
    for row in rows:
        name = row[0][0]
        facts = judged.get(name, {"verdict": "", "reason": "timeout", "predicted_us": None, "ratio": None})
        assert [row[1][0], row[3][0], row[2][0]] == [facts["verdict"], facts["reason"], decided[name]["decision"]]
        us = facts["predicted_us"]
        assert row[4] == [microseconds(us), None if us is None else str(us)]
        assert row[6][1] == (None if facts["ratio"] is None else str(facts["ratio"]))
    tiles = browser.execute_script(
        "return [...document.querySelectorAll('.tile .value')].map((e) => e.textContent)"
    )
    assert tiles[:4] == ["900.5 µs", "14.44×", "25 %", "6"]


def test_the_embedded_json_is_the_documented_one(browser: Any, pages: Path) -> None:
    import msgspec

    from cairn.report.rows import SCHEMA, Report

    text = page_of(pages, "night").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="cairn-report">(.*?)</script>', text, re.S)
    assert found is not None
    data = msgspec.json.decode(found[1], type=Report)
    assert (data.schema, data.page, len(data.runs[0].attempts)) == (SCHEMA, "run", 6)
    open_page(browser, page_of(pages, "night"))
    seen = browser.execute_script("return JSON.parse(document.getElementById('cairn-report').textContent)")
    assert seen == json.loads(found[1])


def test_filter_search_and_sort(browser: Any, pages: Path) -> None:
    open_page(browser, page_of(pages, "night"))
    choose = (
        "const select = document.querySelector(`#attempt-table-box select[data-column='${arguments[0]}']`);"
        "select.value = arguments[1]; select.dispatchEvent(new Event('change'));"
    )
    browser.execute_script(choose, 1, "KEEP")
    assert cells(browser, 0) == ["a0001", "a0006"]
    count = browser.find_element("css selector", "#attempt-table-box .count")
    assert count.text == "2 of 6 rows"
    browser.execute_script(choose, 1, "")
    box = browser.find_element("css selector", "#attempt-table-box input")
    box.send_keys("vmem crash")
    assert cells(browser, 0) == ["a0004"]
    box.clear()
    box.send_keys(" ")
    head = browser.find_elements("css selector", "#attempt-table thead button")[4]
    head.click()
    assert cells(browser, 0) == ["a0006", "a0003", "a0001", "a0002", "a0004", "a0005"], "rising, no cost last"
    head.click()
    assert cells(browser, 0)[:4] == ["a0002", "a0001", "a0003", "a0006"]
    assert head.find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    assert complaints(browser) == []


def test_an_attempt_opens_with_all_its_parts(browser: Any, pages: Path) -> None:
    open_page(browser, page_of(pages, "night"))
    browser.find_element("link text", "a0001").click()
    article = browser.find_element("css selector", "article.attempt")
    assert "slots filled" not in article.text, "the long list of units is folded"
    article.find_element("xpath", ".//summary[text()='Units and memory in detail']").click()
    text = article.text
    for wanted in (
        "1,560 µs predicted (1,248 to 1,950)",
        "Stages of the judgement",
        "Against the oracle",
        "Roofline position",
        "Where the predicted time goes",
        "4,824,142",
        "160,768",
        "VMEM bytes of gdn_fwd.1 1,048,577",
        "MATMUL slots filled by gdn_fwd.1 26.0 %",
        "1,200 in (1,000 cached), 34 out",
        "$0.25",
        "r-a0001-0001",
    ):
        assert wanted in text, wanted
    shown = browser.execute_script("return document.querySelector('pre.diff code').textContent")
    assert shown == DIFF.rstrip("\n").replace("\n", "")
    comment = browser.find_element("css selector", "pre.diff i.c")
    assert comment.text == "# twice as wide"
    transcript = article.find_element("xpath", ".//summary[starts-with(text(), 'Transcript')]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", transcript)
    transcript.click()
    WebDriverWait(browser, 20).until(lambda _: "I widen the chunk." in article.text)
    assert browser.execute_script("return document.activeElement.closest('article') !== null"), "focus moved there"
    article.find_element("xpath", ".//button[text()='Next']").click()
    assert "a0002" in browser.find_element("css selector", "article.attempt h3").text
    browser.find_element("xpath", "//button[text()='Close']").click()
    assert browser.find_elements("css selector", "article.attempt") == []
    assert complaints(browser) == []


def test_the_plot_can_be_used_with_keys(browser: Any, pages: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    open_page(browser, page_of(pages, "night"))
    browser.execute_script("document.querySelector('.picture').focus()")
    browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    tip = browser.find_element("id", "tip")
    assert tip.is_displayed()
    assert "a0002 DISCARD slower" in tip.text
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert "a0002" in browser.find_element("css selector", "article.attempt h3").text


def test_measured_and_predicted_are_never_on_one_axis(browser: Any, pages: Path) -> None:
    labels = "return [...document.querySelectorAll('.wide svg text')].map((e) => e.textContent)"
    open_page(browser, page_of(pages, "device"), "#attempt-0-a0001")
    texts = browser.execute_script(labels)
    assert "measured cost, µs of one call" in texts
    assert not any("predicted" in text for text in texts)
    claim = browser.find_element("id", "claim").text
    assert "Minimum detectable effect: 2.1 %" in claim
    assert "A/A calibration: threshold 1.23 %, alpha 0.05, false keep bound 0.01 %" in claim
    article = browser.find_element("css selector", "article.attempt")
    assert "1.2 %" in article.text, "the least effect stands beside the claim"
    assert len(article.find_elements("css selector", "svg circle")) == 120, "one dot a pair"
    open_page(browser, pages / "compare.html")
    assert "may not be compared" in browser.find_element("css selector", ".notice.warning").text
    assert len(browser.find_elements("css selector", ".picture .wide svg")) == 2, "a picture each"


def test_themes_and_widths(browser: Any, pages: Path) -> None:
    open_page(browser, page_of(pages, "night"))
    ground = "return getComputedStyle(document.body).backgroundColor"
    button = browser.find_element("id", "theme")
    seen = []
    for _ in range(3):
        button.click()
        seen.append((button.text, browser.execute_script(ground)))
    assert [name for name, _ in seen] == ["Theme: light", "Theme: dark", "Theme: system"]
    assert seen[0][1] != seen[1][1]
    for page in (page_of(pages, "night"), pages / "compare.html", pages / ".cairn" / "runs" / "gallery.html"):
        size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        open_page(browser, page)
        width = browser.execute_script("return document.documentElement.scrollWidth")
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        assert width <= 390, f"{page.name} is {width} pixels wide"


@pytest.mark.skipif(not AXE.exists(), reason="no axe-core in .clients (make clients)")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessibility(browser: Any, pages: Path, theme: str) -> None:
    gallery = pages / ".cairn" / "runs" / "gallery.html"
    for page in (page_of(pages, "night"), page_of(pages, "device"), pages / "compare.html", gallery):
        open_page(browser, page, "#attempt-0-a0001")
        browser.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
        browser.execute_script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert axe_findings(browser) == [], page.name


@pytest.mark.skipif(not AXE.exists(), reason="no axe-core in .clients (make clients)")
def test_the_checks_bite(browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        "<html lang=en data-ready=yes><title>x</title><img src=https://example.invalid/x.png><main>x</main>"
    )
    open_page(browser, page)
    assert any("image-alt" in finding for finding in axe_findings(browser))
    assert any("example.invalid" in complaint for complaint in complaints(browser))


def test_print_shows_what_was_kept(browser: Any, pages: Path) -> None:
    open_page(browser, page_of(pages, "night"))
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert [each.text.split()[0] for each in browser.find_elements("css selector", "article h3")] == [
        "a0001",
        "a0006",
    ]
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.find_elements("css selector", "article") == []


HOSTILE = (
    "</script><script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>"
    "\x1b[31mred\x1b[0m \u202egnirts\u202c \x00 \u2028 ]]> <!-- --> {{ 7 * 7 }} ${7*7} `x` $\\frac{1}{2}$"
)


def test_hostile_text_does_nothing(browser: Any, tmp_path: Path) -> None:
    runs = registry(tmp_path)
    climb = ClimbOnDisk(runs / "evil")
    climb.start()
    climb.measure()
    line = "x" * 10_000_000
    said = [json.dumps({"type": "item.completed", "item": {"type": "agent_message", "text": HOSTILE}}).encode()]
    said += [HOSTILE.encode(), line.encode(), b"\xff\xfe\x00broken", b'{"type":' + b"[" * 5000]
    climb.attempt(
        "KEEP",
        "faster",
        900.5,
        hypothesis=HOSTILE,
        diff=f"{DIFF}+{HOSTILE}\n+{line}\n",
        transcript=said,
        tunables={HOSTILE: HOSTILE},
    )
    climb.attempt(HOSTILE, HOSTILE, 1000.5, hypothesis="\ud800 half a character")
    climb.end(HOSTILE)
    report(tmp_path, "evil")
    page = runs / "evil" / "report.html"
    assert page.stat().st_size < 1_000_000
    open_page(browser, page, "#attempt-0-a0001")
    browser.find_element("css selector", "article details summary").click()
    assert browser.execute_script("return window.pwned ?? null") is None
    assert complaints(browser) == []
    text = browser.find_element("css selector", "article").text
    assert "<img src=x onerror=" in text, "shown, not obeyed"
    assert "⟨U+202E⟩" in text
    assert "\x1b" not in text
    assert browser.execute_script("return document.querySelectorAll('script').length") == 3
    assert browser.execute_script("return document.querySelectorAll('img').length") == 0
    with pytest.raises(SystemExit):
        main(["report", "--root", str(tmp_path), "evil", "--morning"])


@pytest.mark.parametrize("state", ["empty", "started", "running", "killed"])
def test_a_climb_in_any_state_has_a_page(browser: Any, tmp_path: Path, state: str) -> None:
    climb = ClimbOnDisk(registry(tmp_path) / "night")
    if state != "empty":
        climb.start()
    if state in ("running", "killed"):
        climb.measure()
        climb.attempt("KEEP", "faster", 900.5)
        climb.event("attempt.planned", attempt="a0002", parent=climb.parent, agent="tuner")
    if state == "running":
        climb.alive()
    report(tmp_path, "night")
    open_page(browser, climb.folder / "report.html")
    text = browser.find_element("tag name", "body").text
    assert {"empty": "empty", "started": "stopped", "running": "a0002: tuner edits", "killed": "goes on"}[
        state
    ] in text
    assert complaints(browser) == []

"""Projects as they are: adopted unchanged, with domains of their own, with advice that is settled; the page."""

import json
from pathlib import Path

import pytest

from cairn.errors import BadInput
from cairn.retro.vocabulary import domain_of
from report.browser import MISSING, axe_findings, chromium, complaints, open_page
from retro.evidence_files import SWEEP, project
from retro.golden import DOMAINS, golden, retro

OWN = """\
schema: 1
name: diffusion
title: image models
name_pattern: "{model}-{finding}"
examples: [sdxl-few-steps]
parameters: {guidance: [cfg, guidance scale]}
metrics: {fid: {better: lower, words: [fid score]}}
"""


@pytest.mark.parametrize("domain", DOMAINS)
def test_adopt_changes_nothing_and_says_what_is_off(domain: str, tmp_path: Path) -> None:
    made = golden(domain, tmp_path)
    before = {path: path.read_bytes() for path in made.root.rglob("*") if path.is_file()}
    found = retro(made.root, "adopt", "--dry-run", code=1)
    codes = {fault["code"] for fault in found["faults"]}
    assert "path-missing" in codes
    assert ("skill-form" in codes) == (domain == "research")
    assert {path: path.read_bytes() for path in made.root.rglob("*") if path.is_file()} == before


def test_what_adopt_offers_can_be_applied(tmp_path: Path) -> None:
    made = golden("research", tmp_path)
    found = retro(made.root, "adopt", code=1)
    retro(made.root, "apply", "--approve", found["plan"])
    again = retro(made.root, "adopt", code=1)
    assert [fault["code"] for fault in again["faults"]] == ["path-missing"]
    body = "## Recommended Practice\nUse 5000."
    assert body in (made.root / ".codex/skills/rotary-base-short/SKILL.md").read_text()


def test_a_registry_out_of_step_and_none_at_all(tmp_path: Path) -> None:
    made = golden("cuda", tmp_path)
    registry = made.root / ".codex/skills/registry.json"
    data = json.loads(registry.read_text())
    data["skills"] = {"gone": {"type": "result"}}
    registry.write_text(json.dumps(data))
    (made.root / "references/experiment-log.md").write_text(
        "# Log\n\n## 2999-01-01 – Retrospective: later\n\n**Type:** Retrospective\n"
    )
    faults = retro(made.root, "adopt", "--dry-run", code=1)["faults"]
    codes = {fault["code"]: fault for fault in faults}
    assert {"not-there", "odd-date", "part-missing"} <= set(codes)
    assert codes["odd-date"]["line"] == 3
    registry.unlink()
    found = retro(made.root, "adopt", "--dry-run", code=1)
    assert found["found"]["reports"] == ["benchmark_results"]
    assert "no-registry" in {fault["code"] for fault in found["faults"]}
    assert retro(made.root, "collect")["facts"] > 20
    assert retro(made.root, "adopt", "--start-registry")["registry"]["domain"] == "cuda"


def test_a_domain_of_the_projects_own(tmp_path: Path) -> None:
    project(tmp_path, {"domains/diffusion.yaml": OWN, "reports/a.md": "x: 1\n"}, domain="diffusion")
    domain = domain_of(tmp_path, "diffusion")
    assert domain.classify("FID score") == ("metric", "fid")
    assert domain.direction("fid") == "lower"
    assert domain.classify("cfg", "parameters") == ("parameter", "guidance")
    assert retro(tmp_path, "domains", "--check")["ok"]
    (tmp_path / "domains/diffusion.yaml").write_text(OWN.replace("better: lower", "better: down"))
    rows = retro(tmp_path, "domains", "--check", code=1)["files"]
    assert [row["path"].rpartition("/")[2] for row in rows if row["faults"]] == ["diffusion.yaml"]
    with pytest.raises(BadInput, match="better"):
        domain_of(tmp_path, "diffusion")


def test_advice_that_held_moves_a_skills_confidence(tmp_path: Path) -> None:
    project(tmp_path, {"reports/a.md": SWEEP})
    path = tmp_path / ".agents/skills/lr-small/SKILL.md"
    path.parent.mkdir(parents=True)
    path.write_text('---\nname: lr-small\ndescription: "d"\n---\n\n## When to Apply\n\n- always\n')
    rows = [
        {
            "id": f"E{n}",
            "description": "x",
            "key_differences": "lr",
            "expected": "lower loss",
            "based_on": ["lr-small"],
        }
        for n in (1, 2)
    ]
    (tmp_path / "a.yaml").write_text(json.dumps({"goal": "g", "experiments": rows}))
    recorded = retro(tmp_path, "advise", "--record", str(tmp_path / "a.yaml"))
    assert recorded["table"].splitlines()[0] == "| id | description | key_differences | notes |"
    assert retro(tmp_path, "advise", "--record", str(tmp_path / "a.yaml"))["advice"] == recorded["advice"]
    assert len(retro(tmp_path, "advise")["unsettled"]) == 2
    words = []
    for name in ("E1", "E2"):
        settled = retro(tmp_path, "advise", "--settle", recorded["advice"], name, "--outcome", "held")
        words.append(settled["confidence"][0]["word"])
    assert words == ["observed once, held once", "reproduced"]
    retro(tmp_path, "apply", "--approve", settled["plan"])
    assert 'confidence: "reproduced"' in path.read_text()
    material = retro(tmp_path, "advise", "learning", "rate")
    assert (material["unsettled"], material["skills"][0]["held"]) == ([], 2)
    assert any(best["run"] == "base-b" for best in material["best"])


def test_bad_advice_is_refused(tmp_path: Path) -> None:
    project(tmp_path, {"reports/a.md": SWEEP, "a.yaml": "goal: g\nexperiments: [{id: E1}]\n"})
    with pytest.raises(BadInput):
        retro(tmp_path, "advise", "--record", str(tmp_path / "a.yaml"))


def test_answers_stay_small_however_large_the_project_is(tmp_path: Path) -> None:
    rows = "\n".join(f"| run-{n} | {n} | {1 + n / 1000:.3f} | {n}.5 |" for n in range(400))
    table = f"| Variant | lr | Val loss | Time (s) |\n|---|---|---|---|\n{rows}\n"
    lost = "### What failed\n\n" + "\n".join(f"- thing {chr(97 + n % 26) * 9} broke {n} ways" for n in range(300))
    project(tmp_path, {f"reports/r{n}.md": f"# R {n}\n\n{table}\n{lost}\n" for n in range(12)})
    for command in (["collect"], ["candidates"], ["facts"], ["compare"], ["adopt"], ["advise"], ["domains"]):
        answer = retro(tmp_path, *command, code=1 if command == ["adopt"] else 0)
        assert len(json.dumps(answer)) < 40_000, command


@pytest.mark.skipif(MISSING is not None, reason=MISSING or "")
def test_the_page_in_a_browser(tmp_path: Path) -> None:
    tsv = "commit\tloss\tstatus\na1b2c3d\t3.0\tkeep\nb2c3d4e\t2.5\tkeep\nc3d4e5f\t2.6\tdiscard\n"
    hostile = SWEEP.replace("wide-c", "<script>document.title='x'</script>")
    project(tmp_path, {"reports/a.md": hostile, "results.tsv": tsv})
    page = tmp_path / "page.html"
    (tmp_path / "s.md").write_text("### Key findings\n\n- <img src=x onerror=alert(1)>\n")
    retro(tmp_path, "report", "lr <b>", "--summary", str(tmp_path / "s.md"), "--out", str(page))
    text = page.read_text()
    assert "http://" not in text.replace("http://www.w3.org", "")
    with chromium() as driver:
        open_page(driver, page)
        assert driver.title == "Retrospective: lr <b>"
        shown = driver.execute_script("return document.body.innerText")
        ids = driver.execute_script("return [...document.querySelectorAll('section[id]')].map((each) => each.id)")
        assert {"overview", "summary", "best", "leaderboards", "effects", "failures", "questions"} <= set(ids)
        assert complaints(driver) == []
        assert axe_findings(driver) == []
    for words in ("reports/a.md:8", "2.84", "ran out of memory", "Is a smaller learning rate better still?"):
        assert words in shown

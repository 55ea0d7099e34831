"use strict";
// The page works without this script; with it tables sort and filter, attempts open, and the theme can be chosen.
// Texts come from agents and compilers: they become text nodes, never markup.
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const SVG = "http://www.w3.org/2000/svg";
  const fill = (node, attributes, children) => {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === false || value === null || value === undefined) continue;
      if (name === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
    return node;
  };
  const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
  const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
  const json = (id) => { const node = document.getElementById(id); return node ? JSON.parse(node.textContent) : null; };

  // numbers, as words.py writes them
  const group = (value, digits) => value.toLocaleString("en-US", {minimumFractionDigits: digits, maximumFractionDigits: digits});
  const dash = "–";
  const isNumber = (value) => typeof value === "number";
  const us = (value) => !isNumber(value) ? dash : group(value, value < 10 ? 2 : value < 1000 ? 1 : 0);
  const ratio = (value) => isNumber(value) ? value.toFixed(3) : dash;
  const percent = (value, digits = 0) => isNumber(value) ? `${(100 * value).toFixed(digits)} %` : dash;
  const seconds = (value) => !isNumber(value) ? dash : value < 10 ? `${value.toFixed(1)} s` : value < 60 ? `${value.toFixed(0)} s`
    : value < 3600 ? `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s` : `${Math.floor(value / 3600)} h ${Math.floor(value % 3600 / 60)} min`;
  const figure = (value) => !isNumber(value) ? String(value) : Number.isInteger(value) ? group(value, 0) : String(Number(value.toPrecision(4)));
  const TONES = {KEEP: "keep", DISCARD: "discard", INCONCLUSIVE: "inconclusive", INVALID: "invalid", CRASH: "crash"};
  const badge = (verdict) => verdict ? h("span", {class: `badge tone-${TONES[verdict] || "muted"}`}, verdict) : null;

  // theme
  const themeButton = $("#theme");
  const themes = ["system", "light", "dark"];
  const stored = () => { try { return localStorage.getItem("cairn-theme") || "system"; } catch { return "system"; } };
  const setTheme = (theme) => {
    if (theme === "system") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = theme;
    themeButton.textContent = `Theme: ${theme}`;
    try { localStorage.setItem("cairn-theme", theme); } catch { /* a page from disk may have no storage */ }
  };
  themeButton.hidden = false;
  setTheme(themes.includes(stored()) ? stored() : "system");
  themeButton.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || "system";
    setTheme(themes[(themes.indexOf(now) + 1) % themes.length]);
  });

  // tables
  const key = (cell) => {
    const raw = cell.dataset.value ?? cell.textContent.trim();
    const number = Number(raw);
    return raw !== "" && !Number.isNaN(number) ? number : raw.toLowerCase();
  };
  const compare = (a, b) => {
    const blank = (value) => value === "" || value === dash;
    if (blank(a) || blank(b)) return blank(a) - blank(b);
    if (isNumber(a) && isNumber(b)) return a - b;
    return String(a).localeCompare(String(b), "en", {numeric: true});
  };
  const enhance = (box) => {
    const table = $("table", box), body = table.tBodies[0], rows = [...body.rows];
    const tools = $(".tools", box), search = tools && $("input", tools), selects = tools ? $$("select", tools) : [];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    for (const select of selects) {
      const values = new Set(rows.map((row) => row.cells[select.dataset.column].textContent.trim()).filter(Boolean));
      select.append(...[...values].sort().map((value) => h("option", {value}, value)));
      select.closest("label").hidden = values.size < 2;
    }
    const apply = () => {
      const wanted = search ? search.value.trim().toLowerCase().split(/\s+/).filter(Boolean) : [];
      let shown = 0;
      rows.forEach((row, at) => {
        const found = wanted.every((word) => texts[at].includes(word))
          && selects.every((select) => !select.value || row.cells[select.dataset.column].textContent.trim() === select.value);
        row.hidden = !found;
        shown += found;
      });
      if (tools) $(".count", tools).textContent = shown === rows.length ? `${rows.length} rows` : `${shown} of ${rows.length} rows`;
    };
    if (tools) tools.hidden = rows.length < 2;
    search?.addEventListener("input", apply);
    for (const select of selects) select.addEventListener("change", apply);
    if (table.classList.contains("sortable")) [...table.tHead.rows[0].cells].forEach((head, at) => {
      const button = h("button", {type: "button"}, head.textContent);
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const keyed = rows.map((row, number) => [key(row.cells[at]), number, row]);
        const last = (value) => value === "" || value === dash;
        keyed.sort(([a, i], [b, j]) => (falling && !last(a) && !last(b) ? compare(b, a) : compare(a, b)) || i - j);
        body.append(...keyed.map(([, , row]) => row));
      });
      head.replaceChildren(button);
    });
    apply();
  };
  $$(".data").forEach(enhance);

  // attempts
  const report = json("cairn-report"), colours = json("cairn-highlight") || {};
  const place = $("#attempt-place");
  const facts = (rows) => h("dl", {class: "facts"}, rows.filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== dash)
    .map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
  const rowsTable = (caption, heads, rows) => h("div", {class: "scroll", role: "region", "aria-label": caption, tabindex: 0}, h("table", {},
    h("caption", {}, caption),
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", {scope: "col", class: head.number && "number"}, head.text || head)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, at) => h(at ? "td" : "th", {class: heads[at].number && "number", scope: !at && "row"}, cell)))))));
  const link = (run, id) => id ? h("a", {href: `#attempt-${run}-${id}`}, id) : null;

  const diffView = (attempt, spans) => {
    if (!attempt.diff) return attempt.diff_left_out ? [h("h4", {}, "Change"), h("p", {class: "small"}, `${group(attempt.diff_left_out, 0)} characters, left out of this page; the run's folder has them in attempts/${attempt.id}/change.patch`)] : null;
    const codes = spans ? spans.split("\n") : [];
    const tone = (line) => /^(\+\+\+|---|diff |index )/.test(line) ? "head" : {"@": "hunk", "+": "add", "-": "del"}[line[0]] || "";
    const lines = attempt.diff.replace(/\n$/, "").split("\n").map((line, at) => {
      const parts = codes[at] ? [line[0]] : [line];
      if (codes[at]) {
        let from = 1;
        for (const code of codes[at].split(" ")) {
          const size = Number(code.slice(1)), piece = line.slice(from, from + size);
          parts.push(code[0] === "w" || code[0] === "o" || code[0] === "n" ? piece : h("i", {class: code[0]}, piece));
          from += size;
        }
        parts.push(line.slice(from));
      }
      return h("span", {class: tone(line)}, parts);
    });
    return [h("h4", {}, "Change"), h("pre", {class: "diff", tabindex: 0, role: "region", "aria-label": `change of ${attempt.id}`}, h("code", {}, lines)),
      attempt.diff_left_out ? h("p", {class: "small"}, `${group(attempt.diff_left_out, 0)} more characters are in attempts/${attempt.id}/change.patch`) : null];
  };

  const stages = (receipt) => {
    if (!receipt.stages?.length) return null;
    const longest = Math.max(...receipt.stages.map((stage) => stage.s), 1e-9);
    return [h("h4", {}, "Stages of the judgement"), rowsTable("Stages of the judgement", ["stage", {text: "seconds", number: true}, "", "result"],
      receipt.stages.map((stage) => [stage.stage, stage.s.toFixed(1), h("span", {class: "meter", style: null}, bar(stage.s / longest)), stage.reason || "passed"]))];
  };
  const bar = (share) => { const node = h("span"); node.style.width = `${Math.max(1, Math.min(100, 100 * share))}%`; return node; };

  const checks = (receipt) => receipt.checks?.length ? [h("h4", {}, "Against the oracle"), rowsTable("Comparisons with the oracle",
    ["inputs", "shape", "closest output", {text: "error (rms)", number: true}, {text: "of what is allowed", number: true}, "result"],
    receipt.checks.map((check) => [check.family, check.shape, check.output || dash, isNumber(check.rms) ? check.rms.toExponential(1) : dash,
      check.allowed ? percent(check.rms / check.allowed) : dash, check.ok === false ? "wrong" : "right"]))] : null;

  // where a shape stands between what physics forbids and what it is compared with; one logarithmic axis of one kind of cost
  const roofline = (shape) => {
    const one = shape.physics_us === shape.target_us;
    const marks = [["physics", one ? null : shape.physics_us, "--floor"], [one ? "floor" : "floor to aim at", shape.target_us, "--floor"], ["this", shape.us, "--accent"], ["incumbent", shape.incumbent_us, "--muted"]]
      .filter(([, value]) => isNumber(value) && value > 0);
    if (marks.length < 2) return null;
    const values = marks.map(([, value]) => value), low = Math.log(Math.min(...values) / 1.25), high = Math.log(Math.max(...values) * 1.25);
    const x = (value) => 10 + 540 * (Math.log(value) - low) / (high - low);
    const words = marks.map(([name, value]) => `${name} ${us(value)} µs`).join(", ");
    const band = isNumber(shape.low_us) && isNumber(shape.high_us)
      ? s("rect", {x: Math.max(0, x(shape.low_us)), y: 27, width: Math.max(1, x(shape.high_us) - x(shape.low_us)), height: 8, fill: "var(--accent)", "fill-opacity": .3}) : null;
    const ends = [];  // where each row of labels is taken up to; the widest letters are those of a small screen
    const placed = [...marks].sort((a, b) => a[1] - b[1]).map(([name, value, role]) => {
      const text = `${name} ${us(value)}`, wide = 9.2 * text.length, left = Math.min(556 - wide, Math.max(4, x(value) - wide / 2));
      const row = [0, 1, 2, 3].find((each) => left > (ends[each] ?? -1) + 6) ?? 3;
      ends[row] = left + wide;
      return [name, value, role, text, left + wide / 2, [14, 58, 78, 98][row]];
    });
    return s("svg", {viewBox: `0 0 560 ${Math.max(...placed.map((each) => each[5])) + 10}`, role: "img", "aria-label": `Position in predicted cost, logarithmic: ${words}`},
      s("line", {x1: 4, x2: 556, y1: 31, y2: 31, stroke: "var(--line)", "stroke-width": 2}), band,
      placed.map(([name, value, role, text, middle, y]) => [
        s("line", {x1: x(value), x2: x(value), y1: 22, y2: 40, stroke: `var(${role})`, "stroke-width": name === "this" ? 4 : 2}),
        s("text", {x: middle, y, "text-anchor": "middle"}, text)]));
  };

  const moment = (text) => (text || "").replace(/^(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*(?:Z|\+00:00)$/, "$1 $2 UTC");
  const METRICS = {mxu_util: "matrix units busy", hbm_bytes: "HBM bytes moved", bundles: "bundles executed", spills: "vector spills", fills: "vector fills", compile_s: "compilation, s", model: "cost model", parameters: "parameters", custom_calls: "kernels",
    "memory_bytes.argument_size_in_bytes": "argument bytes", "memory_bytes.output_size_in_bytes": "output bytes", "memory_bytes.temp_size_in_bytes": "temporary bytes", "memory_bytes.generated_code_size_in_bytes": "code bytes", "memory_bytes.alias_size_in_bytes": "aliased bytes"};
  const ORDER = [/^bundles$/, /\.vmem_bytes$/, /^mxu_util$/, /^spills$/, /^fills$/, /^hbm_bytes$/, /\.unit_use\./], FIRST = 6;
  const rank = (name) => { const at = ORDER.findIndex((each) => each.test(name)); return at < 0 ? ORDER.length : at; };
  const label = (name) => METRICS[name] || name.replace(/^kernels\.(.+)\.vmem_bytes$/, "VMEM bytes of $1").replace(/^kernels\.(.+)\.unit_use\.(\w+)$/, "$2 slots filled by $1");
  const compiled = (receipt) => {
    const shapes = receipt.shapes || [];
    if (!shapes.length) return null;
    const names = [...new Set(shapes.flatMap((shape) => Object.keys(shape.metrics || {})))];
    names.sort((a, b) => rank(a) - rank(b));
    const value = (name, metric) => metric === undefined ? dash : /_util$|\.unit_use\./.test(name) ? percent(metric, 1) : figure(metric);
    const metricsTable = (title, chosen) => rowsTable(title, ["metric", ...shapes.map((shape) => ({text: shape.shape, number: true}))],
      chosen.map((name) => [label(name), ...shapes.map((shape) => value(name, shape.metrics?.[name]))]));
    const causes = shapes[0].breakdown_us || {}, total = Object.values(causes).reduce((sum, each) => sum + each, 0);
    const stack = h("div", {class: "stack", role: "img", "aria-label": Object.entries(causes).map(([name, each]) => `${name} ${percent(each / total)}`).join(", ")});
    Object.values(causes).forEach((each, at) => { const part = h("span", {class: `c${at % 6}`}); part.style.width = `${100 * each / total}%`; stack.append(part); });
    return [
      h("h4", {}, "Predicted cost by shape (a prediction, not a measurement)"),
      rowsTable("Predicted cost by shape", ["shape", {text: "predicted µs", number: true}, {text: "stated interval", number: true}, {text: "incumbent µs", number: true}, {text: "of the floor", number: true}, "floor set by"],
        shapes.map((shape) => [shape.shape, shape.refused ? `refused: ${shape.refused}` : us(shape.us), isNumber(shape.low_us) ? `${us(shape.low_us)} to ${us(shape.high_us)}` : dash,
          us(shape.incumbent_us), isNumber(shape.us) && shape.target_us ? percent(shape.target_us / shape.us) : dash, shape.target_bound_by || dash])),
      h("h4", {}, "Roofline position"), shapes.slice(0, 4).map((shape) => [h("p", {class: "small"}, shape.shape), roofline(shape)]),
      total ? [h("h4", {}, "Where the predicted time goes"), stack, h("ul", {class: "keys"}, Object.entries(causes).map(([name, each], at) =>
        h("li", {}, h("i", {class: `c${at % 6}`}), `${name} ${us(each)} µs, ${percent(each / total)}`)))] : null,
      names.length ? [h("h4", {}, "What the compiler made of it"), metricsTable("Compile metrics", names.filter((name) => rank(name) < FIRST)),
        names.some((name) => rank(name) >= FIRST) ? h("details", {class: "folded"}, h("summary", {}, "Units and memory in detail"),
          metricsTable("Further compile metrics", names.filter((name) => rank(name) >= FIRST))) : null] : null,
      shapes[0].flags?.length ? h("p", {class: "small"}, `Before trusting the number: ${shapes[0].flags.join("; ")}.`) : null];
  };

  // one row for each fresh process, one dot for each pair; to the left of 1 the candidate was faster
  const strip = (timing) => {
    const processes = timing.ratios || [];
    const all = processes.flat().sort((a, b) => a - b);
    if (!all.length) return timing.ratios_left_out ? h("p", {class: "small"}, `${group(timing.ratios_left_out, 0)} paired samples are in the receipt.`) : null;
    const at = (share) => all[Math.min(all.length - 1, Math.floor(share * all.length))];
    const bound = timing.threshold ? 1 - timing.threshold : 1;
    const inner = [Math.min(at(.01), timing.ratio_low), Math.max(at(.99), timing.ratio_high)], spread = inner[1] - inner[0];
    const far = Math.max(inner[0] - 1, bound - inner[1]) > 8 * Math.max(spread, .002);  // then 1 is left out, or no sample could be told from another
    const low = far ? inner[0] - .1 * spread : Math.min(inner[0], bound, .995) - .004, high = far ? inner[1] + .1 * spread : Math.max(inner[1], 1.005) + .004;
    const x = (value) => 66 + 560 * (Math.min(high, Math.max(low, value)) - low) / (high - low);
    const row = 15, height = processes.length * row + 52;
    const ticks = [low, (low + high) / 2, high];
    return s("svg", {viewBox: `0 0 640 ${height}`, role: "img", "aria-label": `Paired measured ratios of ${processes.length} processes: median ${ratio(timing.ratio)}, 95 % interval ${ratio(timing.ratio_low)} to ${ratio(timing.ratio_high)}`},
      s("rect", {x: x(timing.ratio_low), y: 8, width: Math.max(1.5, x(timing.ratio_high) - x(timing.ratio_low)), height: height - 44, fill: "var(--accent)", "fill-opacity": .18}),
      s("line", {x1: x(timing.ratio), x2: x(timing.ratio), y1: 8, y2: height - 36, stroke: "var(--accent)", "stroke-width": 2}),
      far ? null : s("line", {x1: x(1), x2: x(1), y1: 8, y2: height - 36, stroke: "var(--ink)", "stroke-width": 1}),
      timing.threshold && !far ? s("line", {x1: x(bound), x2: x(bound), y1: 8, y2: height - 36, stroke: "var(--floor)", "stroke-dasharray": "4 3"}) : null,
      processes.map((process, number) => [s("text", {x: 4, y: 19 + number * row}, `process ${number + 1}`),
        process.map((value, pair) => s("circle", {cx: x(value), cy: 15 + number * row + (pair % 5 - 2) * 1.6, r: 2, fill: value < 1 ? "var(--keep)" : "var(--discard)", "fill-opacity": .65}))]),
      ticks.map((tick, number) => s("text", {x: x(tick), y: height - 20, "text-anchor": ["start", "middle", "end"][number]}, tick.toFixed(3))),
      s("text", {x: 346, y: height - 5, "text-anchor": "middle"}, `measured ratio candidate / incumbent (below 1 is faster; ${far ? "1 lies far outside" : "dashed: threshold"})`));
  };
  const timed = (receipt) => receipt.timings?.length ? [h("h4", {}, "Measured cost by shape"),
    rowsTable("Measured cost by shape", ["shape", {text: "measured µs", number: true}, {text: "95 % interval", number: true}, {text: "incumbent µs", number: true}, {text: "ratio (95 %)", number: true}, {text: "least effect seen", number: true}, "device"],
      receipt.timings.map((timing) => [timing.shape, us(timing.us), isNumber(timing.low_us) ? `${us(timing.low_us)} to ${us(timing.high_us)}` : dash, us(timing.incumbent_us),
        `${ratio(timing.ratio)} (${ratio(timing.ratio_low)} to ${ratio(timing.ratio_high)})`, percent(timing.least_effect, 1), timing.device || dash])),
    h("h4", {}, "Samples"), receipt.timings.map((timing) => [h("p", {class: "small"}, timing.shape), strip(timing)])] : null;

  const transcript = (attempt) => {
    if (!attempt.transcript?.length && !attempt.transcript_left_out) return null;
    const rest = attempt.transcript_left_out ? h("p", {class: "small"}, `${group(attempt.transcript_left_out, 0)} more characters are in ${attempt.transcript_path || "the run's folder"}`) : null;
    const box = h("details", {class: "folded"}, h("summary", {}, `Transcript of the agent (${attempt.transcript?.length || 0} entries)`));
    box.addEventListener("toggle", () => {
      if (box.children.length < 2) box.append(...(attempt.transcript || []).map((entry) => h("div", {class: `said ${entry.role}`}, h("b", {}, entry.role), h("div", {}, entry.text))), ...(rest ? [rest] : []));
    });
    return box;
  };

  const article = (run, at, attempt) => {
    const receipt = attempt.receipt || {}, kind = attempt.kind || "predicted";
    const cost = isNumber(attempt.us) ? `${us(attempt.us)} µs ${kind}` + (isNumber(attempt.low_us) ? ` (${us(attempt.low_us)} to ${us(attempt.high_us)})` : "") : isNumber(attempt.speedup) ? `${ratio(attempt.speedup)}× reported` : dash;
    const effects = (receipt.timings || []).map((timing) => timing.least_effect).filter(isNumber);
    const calibration = Object.entries(receipt.calibration || report.runs[run].calibration || {}).map(([name, value]) => `${name} ${figure(value)}`).join(", ");
    const tokens = isNumber(attempt.input_tokens) ? `${group(attempt.input_tokens, 0)} in (${group(attempt.cached_input_tokens || 0, 0)} cached), ${group(attempt.output_tokens || 0, 0)} out` : dash;
    const tunables = Object.entries(attempt.tunables || {}).map(([name, value]) => `${name}=${value}`).join(", ");
    const id = `attempt-${run}-${attempt.id}`;
    return h("article", {class: "attempt", "aria-labelledby": `${id}-h`},
      h("div", {class: "bar"}, h("h3", {id: `${id}-h`, tabindex: -1}, `${attempt.id} `, badge(attempt.verdict), " ", h("span", {class: "small"}, attempt.decision || attempt.phase)), walk(run, at)),
      h("p", {class: "lead"}, attempt.hypothesis || "No hypothesis was stated."),
      facts([["Cost", cost], ["Ratio to the incumbent", isNumber(attempt.ratio) ? `${ratio(attempt.ratio)} (${kind})` : dash], ["Margin that counts", percent(receipt.margin, 1)],
        ["Minimum detectable effect", effects.length ? percent(Math.max(...effects), 1) : kind === "predicted" ? "none: a prediction has no noise, only error" : dash],
        ["A/A calibration", calibration || (kind === "measured" ? "none recorded" : dash)], ["Reason", attempt.reason || attempt.failure], ["Evidence of the judge", attempt.detail],
        ["Expected effect", attempt.expected_effect], ["Idea", attempt.idea_class], ["Based on", attempt.evidence], ["Tunables", tunables],
        ["Built on", attempt.parent ? link(run, attempt.parent) : "the start"], ["Lineage", attempt.lineage], ["Round", attempt.round], ["Commit", attempt.commit && h("code", {class: "inline"}, attempt.commit)],
        ["Agent", [attempt.agent, attempt.model].filter(Boolean).join(", ")], ["Began", moment(attempt.started)], ["Editing", seconds(attempt.agent_s)], ["Judging", seconds(attempt.judge_s)],
        ["Tokens", tokens], ["Money", isNumber(attempt.cost_usd) ? `$${attempt.cost_usd.toFixed(attempt.cost_usd < .01 && attempt.cost_usd > 0 ? 4 : 2)}` : dash]]),
      diffView(attempt, colours[`${run}/${attempt.id}`]),
      receipt.id ? [h("h4", {}, "Receipt"), h("p", {class: "small"}, h("code", {class: "inline"}, receipt.id), receipt.time ? `, written ${moment(receipt.time)}` : "", receipt.hash ? [", hash ", h("code", {class: "inline"}, receipt.hash.slice(0, 16))] : "", receipt.rule ? `. Rule: ${receipt.rule}.` : "."),
        receipt.doubt ? h("p", {class: "notice warning"}, receipt.doubt) : null] : null,
      timed(receipt), compiled(receipt), h("div", {class: "grid"}, h("div", {}, stages(receipt)), h("div", {}, checks(receipt))), transcript(attempt));
  };
  const walk = (run, at) => {
    const attempts = report.runs[run].attempts || [];
    const go = (to) => { location.hash = `attempt-${run}-${attempts[to].id}`; };
    return h("nav", {"aria-label": "Attempts"}, h("button", {type: "button", disabled: at <= 0, on: {click: () => go(at - 1)}}, "Previous"), " ",
      h("button", {type: "button", disabled: at >= attempts.length - 1, on: {click: () => go(at + 1)}}, "Next"), " ",
      h("button", {type: "button", on: {click: () => { history.replaceState(null, "", "#attempts"); close(); $("#attempts-h")?.scrollIntoView(); }}}, "Close"));
  };
  const find = (hash) => {
    const match = /^#attempt-(\d+)-(.+)$/.exec(decodeURIComponent(hash));
    const attempts = match && report?.runs?.[match[1]]?.attempts || [];
    const at = match ? attempts.findIndex((attempt) => attempt.id === match[2]) : -1;
    return at < 0 ? null : [Number(match[1]), at, attempts[at]];
  };
  const mark = () => {
    $$("tr.open").forEach((row) => row.classList.remove("open"));
    $$(".pt.at").forEach((dot) => dot.classList.remove("at"));
    const found = find(location.hash);
    if (!found) return;
    const name = `attempt-${found[0]}-${found[2].id}`;
    $$("tbody a").find((each) => each.getAttribute("href") === `#${name}`)?.closest("tr").classList.add("open");
    $$(".pt").filter((dot) => dot.dataset.attempt === name).forEach((dot) => dot.classList.add("at"));
  };
  const close = () => { place.replaceChildren(); mark(); };
  const open = () => {
    let found = null;
    try { found = find(location.hash); } catch { /* a hash that is no text */ }
    if (!found || !place) { mark(); return; }
    place.replaceChildren(article(...found));
    mark();
    place.scrollIntoView();
    $("h3", place).focus({preventScroll: true});
  };
  if (report && place) {
    addEventListener("hashchange", open);
    if (location.hash.startsWith("#attempt-")) open();
    let shown = [];
    addEventListener("beforeprint", () => {
      const current = find(location.hash);
      const wanted = report.runs.flatMap((run, number) => (run.attempts || []).map((attempt, at) => [number, at, attempt]))
        .filter(([, , attempt]) => attempt.decision === "kept" && attempt !== current?.[2]).slice(0, 40);
      shown = wanted.map((each) => article(...each));
      place.append(...shown);
    });
    addEventListener("afterprint", () => { shown.forEach((node) => node.remove()); shown = []; });
  }

  // the picture: hover tells, click opens, arrow keys walk
  const attemptOf = (dot) => find(`#${dot.dataset.attempt}`)?.[2];
  if (report) for (const box of $$(".picture")) {
    const dots = $$(".pt", box);
    if (!dots.length) continue;
    const order = new Map(report.runs.flatMap((run, number) => (run.attempts || []).map((attempt, at) => [`attempt-${number}-${attempt.id}`, at])));
    const tip = h("div", {id: "tip", hidden: true, role: "status"});
    const show = (dot) => {
      const attempt = attemptOf(dot);
      if (!attempt) return;
      const text = (attempt.hypothesis || "").slice(0, 160);
      tip.textContent = `${attempt.id} ${attempt.verdict || ""} ${attempt.reason || ""}\n${isNumber(attempt.us) ? `${us(attempt.us)} µs ${attempt.kind || "predicted"}` : "no cost"}\n${text}`;
      tip.hidden = false;
      const spot = dot.getBoundingClientRect();
      tip.style.left = `${Math.max(8, Math.min(scrollX + innerWidth - tip.offsetWidth - 16, scrollX + spot.left + 14))}px`;
      tip.style.top = `${scrollY + spot.bottom + 10}px`;
    };
    document.body.append(tip);
    let current = -1;
    const visible = () => $$(".pt", box).filter((dot) => dot.getClientRects().length).sort((a, b) => order.get(a.dataset.attempt) - order.get(b.dataset.attempt));
    box.addEventListener("pointerover", (event) => { const dot = event.target.closest?.(".pt"); if (dot) show(dot); else tip.hidden = true; });
    box.addEventListener("pointerleave", () => { tip.hidden = true; });
    box.addEventListener("click", (event) => { const dot = event.target.closest?.(".pt"); if (dot) location.hash = dot.dataset.attempt; });
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Plot of attempts: left and right keys move between attempts, Enter opens one");
    box.addEventListener("keydown", (event) => {
      const shown = visible();
      if (event.key === "Enter" && shown[current]) { location.hash = shown[current].dataset.attempt; return; }
      if (event.key === "Escape") { tip.hidden = true; return; }
      const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (!step || !shown.length) return;
      event.preventDefault();
      current = Math.max(0, Math.min(shown.length - 1, current + step));
      $$(".pt.at", box).forEach((dot) => dot.classList.remove("at"));
      shown[current].classList.add("at");
      show(shown[current]);
    });
    box.addEventListener("blur", () => { tip.hidden = true; });
  }
  document.documentElement.dataset.ready = "yes";
})();

"""The planner's page; a module, since only Python files travel with a Flower app."""

# ruff: noqa: E501 - lines of HTML, not of Python

PLAN_PAGE = r"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Privacy plan: @TITLE@</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
code { overflow-wrap: anywhere; }
label { display: block; margin-top: 1.5rem; font-weight: 600; }
input[type=range] { width: 100%; }
.told { background: #eef2f7; padding: .8rem 1rem; border-radius: .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #d5dbe3; }
th:first-child, td:first-child { text-align: left; }
.green { background: #cdebd4; } .amber { background: #fbe6b0; } .red { background: #f6c9c6; }
.now { outline: 2px solid #1c2430; }
tr.best td:first-child { font-weight: 700; }
</style>
</head>
<body>
<h1>Privacy plan: @TITLE@</h1>
<p><code id="formula"></code></p>
<p id="sites"></p>
<label for="epsilon">epsilon: <output id="value"></output></label>
<input id="epsilon" type="range" min="0" step="1">
<p class="told" id="told" aria-live="polite"></p>
<h2>Standard errors, as multiples of those without noise</h2>
<div class="scroll"><table id="sets"></table></div>
<p>Total error counts noise and approximation together, in standard errors of a fit of
all rows; the set with the least is bold. Colours: <span class="green">to <span
id="green"></span></span>, <span class="amber">to <span id="amber"></span></span>, <span
class="red">beyond, or an approximation that moves the estimate by half a standard
error</span>.</p>
<h2>By rows of every site and epsilon: the largest of the terms</h2>
<div class="scroll"><table id="grid"></table></div>
<p>Computed from the declared columns alone: no row was read, and nothing was spent.</p>
<noscript>This page needs JavaScript, which it holds itself.</noscript>
<script id="plan" type="application/json">@PLAN@</script>
<script>
"use strict";
const plan = JSON.parse(document.getElementById("plan").textContent);
const at = (id) => document.getElementById(id);
function row(cells, kind) {
  const tr = document.createElement("tr");
  for (const [text, look] of cells) {
    const cell = document.createElement(kind || "td");
    cell.textContent = text;
    if (look) cell.className = look;
    tr.appendChild(cell);
  }
  return tr;
}
const size = (x) => x > 9 ? "> 9" : x.toFixed(2);
function show() {
  const choice = plan.choices[Number(at("epsilon").value)];
  at("value").textContent = choice.epsilon;
  at("told").textContent = "Somebody who is undecided whether a record is in the table "
    + "becomes at most " + Math.round(100 * choice.odds) + " % sure. Every sum is blurred "
    + "by " + choice.noise_in_patients.toFixed(1) + " of the largest records.";
  const sets = [row([["set"], ["numbers"], ["total error"]].concat(plan.terms.map((t) => [t])), "th")];
  for (const one of choice.sets) {
    const cells = [[one.set], [one.statistics], [size(one.mean_total)]];
    for (const term of one.terms) cells.push([size(term.inflation), term.light]);
    const tr = row(cells);
    if (one.set === choice.best) tr.className = "best";
    sets.push(tr);
  }
  at("sets").replaceChildren(...sets);
  const grid = [row([["rows"]].concat(plan.choices.map((c) => [c.epsilon])), "th")];
  for (const n of new Set(plan.grid.map((c) => c.rows))) {
    const cells = plan.grid.filter((c) => c.rows === n).map((c) =>
      [size(c.largest_inflation), c.light + (c.epsilon === choice.epsilon ? " now" : "")]);
    grid.push(row([[n]].concat(cells)));
  }
  at("grid").replaceChildren(...grid);
}
at("formula").textContent = plan.study.formula;
at("sites").textContent = plan.rows.length + " sites of " + Math.min(...plan.rows) + " to "
  + Math.max(...plan.rows) + " rows; relation " + plan.relation + ", delta " + plan.delta
  + ", clipping norm " + plan.clipping_norm + ".";
at("green").textContent = plan.thresholds.green;
at("amber").textContent = plan.thresholds.amber;
at("epsilon").max = plan.choices.length - 1;
at("epsilon").value = Math.floor(plan.choices.length / 2);
at("epsilon").addEventListener("input", show);
show();
</script>
</body>
</html>
"""

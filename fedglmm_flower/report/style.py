"""The look of the page: light, dark, narrow and printed, from one set of colours."""

_LIGHT = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --panel: #f3f5f8; --text: #17202a; --quiet: #4d5966;
  --line: #c5ccd4; --mark: #0b57a4; --other: #9a3f00;
  --good: #12633a; --caution: #7a4a00; --bad: #a3142b;
}
"""
_DARK = """
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12161b; --panel: #1c2229; --text: #e7ebef; --quiet: #aab4bf;
    --line: #434d58; --mark: #74b7ff; --other: #ffb074;
    --good: #72d6a0; --caution: #f2c063; --bad: #ff8f9c;
  }
}
"""
_RULES = """
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--text); overflow-wrap: anywhere;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial,
    "DejaVu Sans", sans-serif;
}
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--ground); padding: .5rem; }
header, nav, main, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0; }
h2 {
  font-size: 1.25rem; margin: 2.75rem 0 .75rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line);
}
.model, .note, figcaption, caption, footer { color: var(--quiet); }
.model { margin: .25rem 0 0; }
a { color: var(--mark); text-underline-offset: .15em; }
a:focus-visible, [tabindex]:focus-visible, summary:focus-visible {
  outline: 3px solid var(--mark); outline-offset: 2px;
}
nav ul {
  list-style: none; padding: 0; margin: 1rem 0 0; display: flex; flex-wrap: wrap;
  gap: .25rem 1.25rem;
}
.verdict {
  border-left: .4rem solid var(--colour); background: var(--panel);
  padding: .9rem 1.1rem; margin: 1.5rem 0 0;
}
.verdict h2 { border: 0; margin: 0; padding: 0; color: var(--colour); }
.verdict p { margin: .35rem 0 0; }
.verdict ul { margin: .6rem 0 0; padding-left: 1.2rem; }
.verdict li { margin-top: .35rem; }
.good { --colour: var(--good); }
.caution { --colour: var(--caution); }
.bad { --colour: var(--bad); }
pre, code {
  font-family: ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace;
  font-size: .9rem;
}
pre {
  background: var(--panel); padding: .75rem 1rem; margin: .5rem 0;
  white-space: pre-wrap; overflow-wrap: anywhere;
}
.scroll { overflow-x: auto; }
table {
  border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums;
  font-size: .925rem;
}
caption { text-align: left; padding: .25rem 0 .5rem; }
th, td {
  padding: .35rem .5rem; text-align: right; border-top: 1px solid var(--line);
  overflow-wrap: break-word;
}
td { white-space: nowrap; }
thead th { border-top: 0; vertical-align: bottom; }
thead th, tbody th { font-weight: 600; }
tbody th, thead th:first-child { text-align: left; }
table.words td, table.words th { text-align: left; white-space: normal; }
table.words td { overflow-wrap: anywhere; min-width: 5.5rem; }
figure { margin: 1rem 0 0; max-width: 38rem; }
svg { display: block; width: 100%; height: auto; }
svg text {
  fill: var(--text); font: 11.5px system-ui, Arial, "DejaVu Sans", sans-serif;
  paint-order: stroke; stroke: var(--ground); stroke-width: 3px;
}
svg text.quiet { fill: var(--quiet); font-size: 10.5px; }
svg text.name { font-size: 10.5px; }
svg .grid { stroke: var(--line); stroke-width: .6; }
svg .none { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 3 3; }
svg .interval { stroke: var(--mark); stroke-width: 2; }
svg .thin { stroke-width: 1.3; }
svg .point, svg .arrow { fill: var(--mark); }
svg .other { fill: var(--ground); stroke: var(--other); stroke-width: 1.8; }
details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--mark); }
footer { margin-top: 3rem; padding-bottom: 2rem; font-size: .875rem; }
@media (max-width: 40rem) {
  h1 { font-size: 1.4rem; }
  th, td { padding: .3rem .5rem; }
}
"""
_PAPER = """
  :root {
    color-scheme: light; --ground: #fff; --panel: #f3f5f8; --text: #000;
    --quiet: #333; --line: #aaa; --mark: #0b57a4; --other: #9a3f00;
    --good: #12633a; --caution: #7a4a00; --bad: #a3142b;
  }
  body { font-size: 9.5pt; }
  header, main, footer { max-width: none; padding: 0; }
  nav, .skip { display: none; }
  .scroll { overflow: visible; }
  table { font-size: 8pt; }
  td { white-space: normal; }
  th, td { padding: .15rem .3rem; }
  figure { max-width: 15cm; }
  tr, figcaption, .verdict { break-inside: avoid; }
  h2 { break-after: avoid; }
  thead { display: table-header-group; }
"""
CSS = f"{_LIGHT}{_DARK}{_RULES}@media print {{{_PAPER}}}\n"
# Sheets for a PDF: as printed, whatever theme the reader has.
SHEETS = f"""{_LIGHT}{_RULES}{_PAPER}
@page {{ size: A4; margin: 16mm 14mm; }}
body {{ print-color-adjust: exact; }}
@media screen {{ body {{ width: 210mm; max-width: 100%; margin: 0 auto;
  padding: 16mm 14mm; }} }}
"""

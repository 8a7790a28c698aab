/** What the reports of drills and of the bench share as pages: how they look, and text made safe. */

export function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

export function scrolling(table: string): string {
  return `<div class="scrolling" tabindex="0" role="region" aria-label="table">${table}</div>`;
}

export function shown(cell: string | number): string {
  return typeof cell === 'number' ? cell.toLocaleString('en-US') : escaped(cell);
}

export const STYLE = `
:root { color-scheme: light dark; --text: #1a1a1a; --back: #fff; --line: #ccc; --soft: #f4f4f4; --good: #0a6b2d; --bad: #b00020; --aim: #8a5a00; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --back: #161616; --line: #444; --soft: #222; --good: #6fd08c; --bad: #ff8a95; --aim: #f0b95a; }
}
body { font: 15px/1.45 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 0; }
main { max-width: 1200px; margin: 0 auto; padding: 1rem; }
a { color: inherit; }
h2 { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: 1rem; }
table { border-collapse: collapse; margin: .5rem 0; font-size: 14px; }
caption { text-align: left; padding: .3rem 0; color: var(--text); }
th, td { border: 1px solid var(--line); padding: .25rem .5rem; text-align: left; vertical-align: top; font-weight: normal; }
thead th { background: var(--soft); font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; } .aim { color: var(--aim); }
.scrolling { overflow-x: auto; }
figure { margin: 1rem 0; }
.u-legend { font-size: 13px; } .u-title { font-size: 14px; }
code { font-size: 12px; }
`;

/**
 * What was seen, as one HTML file that needs nothing else: tables for everyone, and a timeline for each drill. uPlot draws
 * it, from a copy of it in the file. What the charts show is in the tables and the JSON, too.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Example } from './checker.ts';
import { escaped, scrolling, shown, STYLE } from './html-parts.ts';
import { cellsOf, COLUMNS, type Reported } from './text-report.ts';
import { type Recorded, type StateChange, STEP_MS } from './timeline.ts';

export interface Report {
  readonly results: readonly Reported[];
  readonly seed: number;
  readonly startedAt: Date;
}

/** Of one timeline, in step with each other. */
interface ChartData {
  readonly seconds: readonly number[];
  readonly series: Readonly<
    Record<'requests' | 'errors' | 'shed' | 'hitRatio' | 'originRows' | 'p50' | 'p99', readonly (number | null)[]>
  >;
  readonly marks: readonly { readonly seconds: number; readonly words: string }[];
  readonly lanes: readonly Lane[];
  readonly endSeconds: number;
}

/** A shard as a gateway saw it. */
interface Lane {
  readonly name: string;
  readonly spans: readonly { readonly from: number; readonly to: number; readonly state: string }[];
}

export function htmlReport({ results, seed, startedAt }: Report): string {
  const requests = results.reduce((sum, { seen }) => sum + seen.answers.requests, 0);
  const failed = results.filter(({ passed }) => !passed).length;
  const charts = Object.fromEntries(results.map(({ name, seen }) => [name, chartData(seen.recorded)]));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ringfill drills</title>
<style>${uplotFile('uPlot.min.css')}${STYLE}</style>
</head>
<body>
<main>
<h1>ringfill drills</h1>
<p>${results.length} drills, ${requests.toLocaleString('en-US')} requests, seed ${seed}, ${startedAt.toISOString()}.
${failed === 0 ? 'Everything that had to hold, held.' : `<strong class="bad">${failed} of them failed.</strong>`}</p>
${summaryTable(results)}
${results.map(section).join('\n')}
</main>
<script>${uplotFile('uPlot.iife.min.js')}</script>
<script type="application/json" id="charts">${JSON.stringify(charts).replaceAll('<', String.raw`\u003c`)}</script>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

function uplotFile(name: string): string {
  const folder = dirname(createRequire(import.meta.url).resolve('uplot/package.json'));
  return readFileSync(join(folder, 'dist', name), 'utf8');
}

function summaryTable(results: readonly Reported[]): string {
  const head = COLUMNS.map((column) => `<th scope="col">${escaped(column)}</th>`).join('');
  const rows = results.map((result) => {
    const [name, ...cells] = cellsOf(result);
    const link = `<th scope="row"><a href="#${escaped(String(name))}">${escaped(String(name))}</a></th>`;
    const verdict = result.passed ? 'good' : 'bad';
    const rest = cells.map((cell, index) =>
      index === cells.length - 1 ? `<td class="${verdict}">${cell}</td>` : `<td class="number">${shown(cell)}</td>`,
    );
    return `<tr>${link}${rest.join('')}</tr>`;
  });
  return scrolling(
    `<table><caption>One line a drill. detect, hits back: ms from the harm. shed: 503 with Retry-After for rows that were
not cached.</caption><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table>`,
  );
}

function section(result: Reported): string {
  const { name, title, done, seen, claims, passed } = result;
  const { latencyMs, marks } = seen.recorded;
  const latency = `p50 ${latencyMs.p50.toFixed(1)}, p99 ${latencyMs.p99.toFixed(1)}, p99.9 ${latencyMs.p999.toFixed(1)}, longest ${latencyMs.max.toFixed(0)} ms`;
  const claimRows = claims.map(({ words, isAim, holds, seen: figure }) => {
    const verdict = holds ? 'held' : isAim ? 'missed' : 'FAILED';
    const kind = holds ? 'good' : isAim ? 'aim' : 'bad';
    return `<tr><th scope="row">${escaped(words)}${isAim ? ' (an aim)' : ''}</th><td>${escaped(figure)}</td><td class="${kind}">${verdict}</td></tr>`;
  });
  return `<section id="${escaped(name)}">
<h2>${escaped(name)} <span class="${passed ? 'good' : 'bad'}">${passed ? 'held' : 'FAILED'}</span></h2>
<p><strong>${escaped(title)}.</strong> ${escaped(done)}</p>
<p>${seen.answers.requests.toLocaleString('en-US')} requests in ${seen.seconds.toFixed(1)} s, ${seen.written.commits} commits; latency ${latency}.</p>
<figure class="chart" data-drill="${escaped(name)}" role="img" aria-label="Timeline of ${escaped(name)}; the tables below tell the same."></figure>
${scrolling(`<table><caption>What had to hold</caption><thead><tr><th scope="col">claim</th><th scope="col">seen</th><th scope="col">verdict</th></tr></thead><tbody>${claimRows.join('')}</tbody></table>`)}
<details><summary>What happened when</summary>
${eventsTable(marks, seen.recorded.states)}
</details>
${examplesTable(seen.answers.examples)}
</section>`;
}

function eventsTable(marks: Recorded['marks'], states: Recorded['states']): string {
  const events = [
    ...marks.map(({ atMs, words }) => ({ atMs, words: `<strong>${escaped(words)}</strong>` })),
    // The first states are how it began.
    ...states
      .filter(({ atMs, state }) => atMs > 500 || state !== 'ok')
      .map(({ atMs, gateway, shard, state }) => ({ atMs, words: escaped(`${gateway}: ${shard} is ${state}`) })),
  ].toSorted((a, b) => a.atMs - b.atMs);
  const rows = events.map(({ atMs, words }) => `<tr><td class="number">${seconds(atMs)}</td><td>${words}</td></tr>`);
  return scrolling(
    `<table><thead><tr><th scope="col">s</th><th scope="col">what</th></tr></thead><tbody>${rows.join('')}</tbody></table>`,
  );
}

function examplesTable(examples: readonly Example[]): string {
  if (examples.length === 0) return '';
  const rows = examples.map(
    ({ fault, atMs, gateway, id, what, cacheStatus }) =>
      `<tr><td class="bad">${fault}</td><td class="number">${seconds(atMs)}</td><td>${escaped(gateway)}</td>` +
      `<td class="number">${id}</td><td>${escaped(what)}</td><td><code>${escaped(cacheStatus ?? 'none')}</code></td></tr>`,
  );
  return scrolling(
    `<table><caption>Answers that were not as they should be: the first of each kind</caption><thead><tr><th scope="col">fault</th><th scope="col">s</th><th scope="col">gateway</th><th scope="col">row</th><th scope="col">what</th><th scope="col">Cache-Status</th></tr></thead><tbody>${rows.join('')}</tbody></table>`,
  );
}

function chartData({ steps, marks, states }: Recorded): ChartData {
  const perSecond = 1_000 / STEP_MS;
  // The last step may be a part of one.
  const whole = steps.slice(0, -1);
  const endSeconds = whole.length / perSecond;
  return {
    seconds: whole.map((_, index) => index / perSecond),
    series: {
      requests: whole.map(({ requests }) => requests * perSecond),
      errors: whole.map(({ errors }) => errors * perSecond),
      shed: whole.map(({ shed }) => shed * perSecond),
      hitRatio: whole.map(({ hits, requests }) => (requests === 0 ? null : (100 * hits) / requests)),
      originRows: whole.map(({ originRows }) => originRows * perSecond),
      p50: whole.map(({ p50, requests }) => (requests === 0 ? null : p50)),
      p99: whole.map(({ p99, requests }) => (requests === 0 ? null : p99)),
    },
    marks: marks.map(({ atMs, words }) => ({ seconds: atMs / 1_000, words })),
    lanes: lanesOf(states, endSeconds),
    endSeconds,
  };
}

function lanesOf(states: readonly StateChange[], endSeconds: number): Lane[] {
  const names = [...new Set(states.map(({ gateway, shard }) => `${gateway}: ${shard}`))].toSorted();
  return names.map((name) => {
    const changes = states.filter(({ gateway, shard }) => `${gateway}: ${shard}` === name);
    return {
      name,
      spans: changes.map(({ atMs, state }, index) => ({
        from: atMs / 1_000,
        to: Math.min(endSeconds, (changes[index + 1]?.atMs ?? endSeconds * 1_000) / 1_000),
        state,
      })),
    };
  });
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1_000).toFixed(2);
}

/** Three charts that share their cursor, and lanes of shard states below them, drawn with what chartData made. */
const SCRIPT = String.raw`
const charts = JSON.parse(document.getElementById('charts').textContent);
const isDark = matchMedia('(prefers-color-scheme: dark)').matches;
const ink = isDark ? '#e6e6e6' : '#1a1a1a', line = isDark ? '#3a3a3a' : '#ddd';
const colours = isDark
  ? { requests: '#7ab8ff', errors: '#ff8a95', shed: '#f0b95a', hitRatio: '#6fd08c', originRows: '#d7a6ff', p50: '#7ab8ff', p99: '#f0b95a' }
  : { requests: '#1f6fc4', errors: '#b00020', shed: '#a86400', hitRatio: '#0a7d35', originRows: '#7b2fb5', p50: '#1f6fc4', p99: '#a86400' };
const names = { requests: 'answers/s', errors: 'errors/s', shed: 'shed/s', hitRatio: 'hits, %', originRows: 'origin rows/s', p50: 'p50, ms', p99: 'p99, ms' };
const axis = (more) => ({ stroke: ink, grid: { stroke: line }, ticks: { stroke: line }, ...more });
function marksOf(chart) {
  return { hooks: { draw: [(u) => {
    const { ctx } = u;
    ctx.save();
    ctx.strokeStyle = ink; ctx.fillStyle = ink; ctx.setLineDash([4, 4]);
    for (const { seconds } of chart.marks) {
      const x = u.valToPos(seconds, 'x', true);
      ctx.beginPath(); ctx.moveTo(x, u.bbox.top); ctx.lineTo(x, u.bbox.top + u.bbox.height); ctx.stroke();
    }
    ctx.restore();
  }] } };
}
const shades = { ok: isDark ? '#1f5f35' : '#bfe6cb', down: isDark ? '#8f2430' : '#f2a9b1' };
const other = isDark ? '#7a5713' : '#f5d99a';
function lanes(chart, width) {
  const rowHeight = 18, left = 150, right = 20, svgNs = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(svgNs, 'svg');
  const height = chart.lanes.length * rowHeight;
  svg.setAttribute('width', width); svg.setAttribute('height', height); svg.setAttribute('aria-hidden', 'true');
  const scale = (width - left - right) / chart.endSeconds;
  const put = (name, attributes, text) => {
    const element = document.createElementNS(svgNs, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    svg.append(element);
    return element;
  };
  chart.lanes.forEach(({ name, spans }, row) => {
    put('text', { x: 0, y: row * rowHeight + 13, fill: ink, 'font-size': 11 }, name);
    for (const { from, to, state } of spans) {
      const rect = put('rect', { x: left + from * scale, y: row * rowHeight + 2, width: Math.max(1, (to - from) * scale), height: rowHeight - 4, fill: shades[state] ?? other });
      const title = document.createElementNS(svgNs, 'title');
      title.textContent = name + ' is ' + state + ', ' + from.toFixed(1) + ' to ' + to.toFixed(1) + ' s';
      rect.append(title);
      if (state !== 'ok' && (to - from) * scale > 40) put('text', { x: left + from * scale + 3, y: row * rowHeight + 13, fill: ink, 'font-size': 10 }, state);
    }
  });
  return svg;
}
function draw(figure) {
  const chart = charts[figure.dataset.drill];
  const width = Math.max(320, figure.clientWidth);
  const sync = { key: figure.dataset.drill };
  const panel = (title, left, right) => {
    const all = [...left, ...right];
    const options = {
      title, width, height: 180, cursor: { sync }, plugins: [marksOf(chart)],
      scales: { x: { time: false }, right: { range: right.includes('hitRatio') ? [0, 100] : undefined } },
      axes: [axis({ values: (_, at) => at.map((s) => s + ' s') }), axis({ size: 70 }), ...(right.length ? [axis({ side: 1, scale: 'right', grid: { show: false }, size: 60 })] : [])],
      series: [{ label: 's' }, ...all.map((name) => ({ label: names[name], stroke: colours[name], width: 1.5, scale: right.includes(name) ? 'right' : 'y', value: (_, v) => (v == null ? '-' : v.toFixed(1)) }))],
    };
    if (!right.length) delete options.scales.right;
    new uPlot(options, [chart.seconds, ...all.map((name) => chart.series[name])], figure);
  };
  panel('answers, hits', ['requests', 'errors', 'shed'], ['hitRatio']);
  panel('rows read from the origin', ['originRows'], []);
  panel('latency', ['p50', 'p99'], []);
  figure.append(lanes(chart, width));
  const list = document.createElement('ol');
  for (const { seconds, words } of chart.marks.slice(0, 12)) {
    const item = document.createElement('li');
    item.textContent = seconds.toFixed(1) + ' s: ' + words;
    list.append(item);
  }
  figure.append(list);
}
const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    draw(target);
  }
}, { rootMargin: '400px' });
for (const figure of document.querySelectorAll('figure.chart')) watcher.observe(figure);
`;

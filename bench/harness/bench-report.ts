/** What was measured, as one HTML file that needs nothing else, and as lines for a terminal. */
import { alignedTable } from '../../cli/aligned-table.ts';
import { escaped, scrolling, shown, STYLE } from '../watch/html-parts.ts';
import { GOALS } from './goals.ts';
import type { BenchResult, DoneSection, JudgedRatio } from './run-bench.ts';
import type { Block, FigureTable } from './section.ts';
import { barChartSvg, lineChartSvg } from './svg-chart.ts';

const RATIO_COLUMNS = ['ratio', 'what', 'median', 'least', 'most', 'goal', 'stretch', 'verdict'] as const;
/** `1,234.5`, `12 %`, `12 (10 to 14)`; no version. */
const NUMBER = /^\d[\d,]*(?:\.\d+)?(?: %| \(.*)?$/;
const VERDICT_WORDS = { stretch: 'met, and stretched', met: 'met', missed: 'MISSED' } as const;

export function benchHtml(result: BenchResult): string {
  const { machine, cores, scale, seed, startedAt, sections, notDone, ratios } = result;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ringfill bench</title>
<style>${STYLE}pre { overflow-x: auto; font-size: 12px; } svg { display: block; }</style>
</head>
<body>
<main>
<h1>ringfill bench</h1>
<p>${escaped(scale)} scale, seed ${seed}, ${startedAt.toISOString()}.</p>
${tableHtml({ caption: 'The machine, and what ran on it', columns: ['what', 'which'], rows: Object.entries(machine) })}
<p>${escaped(cores)} Ratios are of two figures of one run on one machine; nothing else here should be compared with another machine’s.</p>
${ratios.length === 0 ? '' : ratiosHtml(ratios)}
${notDone.map(({ name, why }) => `<p class="bad">${escaped(name)} could not be done: ${escaped(why)}</p>`).join('\n')}
${sections.map(sectionHtml).join('\n')}
</main>
</body>
</html>
`;
}

/** For a terminal: the ratios, and each section's tables. */
export function benchText({ ratios, sections }: BenchResult): string {
  const tables = sections.flatMap(({ name, blocks }) =>
    blocks.flatMap((block) =>
      block.kind === 'table'
        ? [`${name}: ${block.table.caption}\n${alignedTable([block.table.columns, ...block.table.rows])}`]
        : block.kind === 'sentences'
          ? [`${name}: ${block.caption}\n${block.sentences.map((sentence) => `- ${sentence}\n`).join('')}`]
          : [],
    ),
  );
  const all = ratios.length === 0 ? [] : [alignedTable([RATIO_COLUMNS, ...ratios.map(ratioCells)])];
  return [...tables, ...all].join('\n').trimEnd();
}

function ratioCells({ key, median, min, max, verdict }: JudgedRatio): (string | number)[] {
  const { what, better, goal, stretch } = GOALS[key];
  const sign = better === 'more' ? '≥' : '≤';
  const two = (value: number) => value.toFixed(2);
  return [key, what, two(median), two(min), two(max), `${sign} ${goal}`, String(stretch), VERDICT_WORDS[verdict]];
}

function ratiosHtml(ratios: readonly JudgedRatio[]): string {
  const head = RATIO_COLUMNS.map((column) => `<th scope="col">${column}</th>`).join('');
  const rows = ratios.map((ratio) => {
    const [key, what, ...numbers] = ratioCells(ratio);
    const kind = ratio.verdict === 'missed' ? 'bad' : 'good';
    const cells = numbers.map((cell, index) =>
      index === numbers.length - 1 ? `<td class="${kind}">${cell}</td>` : `<td class="number">${cell}</td>`,
    );
    return `<tr><th scope="row"><code>${key}</code></th><td>${escaped(String(what))}</td>${cells.join('')}</tr>`;
  });
  return scrolling(
    `<table><caption>Against the goals: the median of all rounds, the least and the most</caption><thead><tr>${head}</tr></thead><tbody>${rows.join('')}</tbody></table>`,
  );
}

function sectionHtml({ name, title, about, blocks, notes, wrong, seconds }: DoneSection): string {
  return `<section id="${escaped(name)}">
<h2>${escaped(name)}: ${escaped(title)}</h2>
<p>${escaped(about)}</p>
${wrong.map((words) => `<p class="bad">Wrong: ${escaped(words)}</p>`).join('\n')}
${notes.map((words) => `<p>${escaped(words)}</p>`).join('\n')}
${blocks.map(blockHtml).join('\n')}
<p>It took ${Math.round(seconds)} s.</p>
</section>`;
}

function blockHtml(block: Block): string {
  switch (block.kind) {
    case 'table':
      return tableHtml(block.table);
    case 'bars':
      return `<figure>${barChartSvg(block.chart)}</figure>`;
    case 'lines':
      return `<figure>${lineChartSvg(block.chart)}</figure>`;
    case 'sentences':
      return `<h3>${escaped(block.caption)}</h3><ul>${block.sentences.map((sentence) => `<li>${escaped(sentence)}</li>`).join('')}</ul>`;
    case 'text':
      return `<details><summary>${escaped(block.caption)}</summary><pre>${escaped(block.text)}</pre></details>`;
  }
}

function tableHtml({ caption, columns, rows }: FigureTable): string {
  const head = columns.map((column) => `<th scope="col">${escaped(column)}</th>`).join('');
  const body = rows.map(([first = '', ...cells]) => {
    const rest = cells.map((cell) => {
      const isNumber = typeof cell === 'number' || NUMBER.test(cell);
      return `<td${isNumber ? ' class="number"' : ''}>${shown(cell)}</td>`;
    });
    return `<tr><th scope="row">${shown(first)}</th>${rest.join('')}</tr>`;
  });
  return scrolling(
    `<table><caption>${escaped(caption)}</caption><thead><tr>${head}</tr></thead><tbody>${body.join('')}</tbody></table>`,
  );
}

/** Figures as SVG, drawn beforehand: the report needs no script. What a chart shows stands in a table beside it, too. */
import { escaped } from '../watch/html-parts.ts';
import type { BarChart, LineChart } from './section.ts';

const WIDTH = 1_000;
const HEIGHT = 300;
const LEFT = 70;
const BOTTOM = 40;
const TOP = 40;
const RIGHT = 30;
const INNER_WIDTH = WIDTH - LEFT - RIGHT;
const INNER_HEIGHT = HEIGHT - TOP - BOTTOM;
const LEGEND_STEP = 20;
/** Told apart in grey, too, and on dark and light ground. */
const COLOURS = ['#8a8a8a', '#e0a030', '#3f9e63', '#b06fd0', '#2f7fd6', '#d64545', '#20b2b8', '#a07040'];

/** A group of bars for each name on the x axis; a thin line from the least to the most of all rounds. */
export function barChartSvg({ title, unit, groups, series }: BarChart): string {
  const top = niceTop(Math.max(...groups.flatMap(({ bars }) => bars.map((bar) => bar?.max ?? 0))));
  const groupWidth = INNER_WIDTH / groups.length;
  const barWidth = Math.min(60, (groupWidth * 0.8) / series.length);
  const drawn = groups.flatMap(({ name, bars }, group) => {
    const from = LEFT + group * groupWidth + (groupWidth - barWidth * series.length) / 2;
    return [
      text(LEFT + (group + 0.5) * groupWidth, HEIGHT - BOTTOM + 18, name, 'middle'),
      ...bars.map((bar, index) => {
        if (bar === undefined) return '';
        const x = from + index * barWidth;
        const y = yOf(bar.median, top);
        const middle = x + barWidth / 2;
        const told = `${series[index] ?? ''}, ${name}: ${figure(bar.median)} ${unit} (${figure(bar.min)} to ${figure(bar.max)})`;
        return (
          `<rect x="${px(x + 1)}" y="${px(y)}" width="${px(barWidth - 2)}" height="${px(TOP + INNER_HEIGHT - y)}" fill="${colour(index)}"><title>${escaped(told)}</title></rect>` +
          `<line x1="${px(middle)}" x2="${px(middle)}" y1="${px(yOf(bar.min, top))}" y2="${px(yOf(bar.max, top))}" stroke="currentColor"/>`
        );
      }),
    ];
  });
  return svg(title, [...yAxis(top, unit), ...drawn, ...legend(series)], series.length);
}

export function lineChartSvg({ title, x, y, lines, isLogarithmic = false }: LineChart): string {
  const points = lines.flatMap((line) => line.points);
  const measuredAt = [...new Set(points.map(([at]) => at))];
  const right = Math.max(...measuredAt, 1e-9);
  const left = Math.min(...measuredAt, right);
  const top = niceTop(Math.max(...points.map(([, value]) => value)));
  const share = (at: number) =>
    isLogarithmic ? Math.log(at / left) / Math.max(Math.log(right / left), 1e-9) : at / right;
  const xOf = (at: number) => LEFT + share(at) * INNER_WIDTH;
  const ticks = isLogarithmic ? measuredAt : Array.from({ length: 6 }, (_, index) => (right * index) / 5);
  return svg(
    title,
    [
      ...yAxis(top, y),
      ...ticks.map((at) => text(xOf(at), HEIGHT - BOTTOM + 18, figure(at), 'middle')),
      text(LEFT + INNER_WIDTH / 2, HEIGHT - 6, x, 'middle'),
      ...lines.map(({ name, points: own }, index) => {
        const path = own.map(([at, value]) => `${px(xOf(at))},${px(yOf(value, top))}`).join(' ');
        const dots = own.map(([at, value]) => {
          const told = `${name}: ${figure(value)} ${y} at ${figure(at)} ${x}`;
          return `<circle cx="${px(xOf(at))}" cy="${px(yOf(value, top))}" r="3" fill="${colour(index)}"><title>${escaped(told)}</title></circle>`;
        });
        return `<polyline points="${path}" fill="none" stroke="${colour(index)}" stroke-width="2"/>${dots.join('')}`;
      }),
      ...legend(lines.map(({ name }) => name)),
    ],
    lines.length,
  );
}

function svg(title: string, parts: readonly string[], legendLines: number): string {
  const height = HEIGHT + legendLines * LEGEND_STEP;
  return `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}; the table tells the same." font-size="13" style="width:100%;max-width:${WIDTH}px;height:auto">
${text(LEFT, 18, title, 'start', 'bold')}
${parts.join('\n')}
</svg>`;
}

function yAxis(top: number, unit: string): string[] {
  const steps = [0, 0.25, 0.5, 0.75, 1].map((share) => share * top);
  return [
    ...steps.map((value) => {
      const y = px(yOf(value, top));
      return `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}" stroke="currentColor" opacity="0.2"/>${text(LEFT - 6, yOf(value, top) + 4, figure(value), 'end')}`;
    }),
    text(0, TOP - 10, unit, 'start'),
  ];
}

function legend(names: readonly string[]): string[] {
  return names.map((name, index) => {
    const y = HEIGHT + index * LEGEND_STEP;
    return `<rect x="${LEFT}" y="${y}" width="12" height="12" fill="${colour(index)}"/>${text(LEFT + 18, y + 11, name, 'start')}`;
  });
}

function text(x: number, y: number, words: string, anchor: 'start' | 'middle' | 'end', weight = 'normal'): string {
  return `<text x="${px(x)}" y="${px(y)}" text-anchor="${anchor}" font-weight="${weight}" fill="currentColor">${escaped(words)}</text>`;
}

function colour(index: number): string {
  return COLOURS[index % COLOURS.length] as string;
}

function yOf(value: number, top: number): number {
  return TOP + INNER_HEIGHT * (1 - value / top);
}

/** The next of 1, 2, 2.5, 5 times a power of ten. */
function niceTop(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 2.5, 5, 10].find((step) => step * power >= value) ?? 10) * power;
}

function px(value: number): string {
  return value.toFixed(1);
}

function figure(value: number): string {
  return value.toLocaleString('en-US', { maximumSignificantDigits: 3 });
}

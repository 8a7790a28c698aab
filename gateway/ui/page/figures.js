/** The figures: each with its name, its value now or where the pointer is, and how it was in the last minutes. */
import { Chart } from './charts.js';
import { byId, element, setText } from './dom.js';
import { clock, duration, durationText, latencyText, percent, rate, UNKNOWN_FIGURE } from './words.js';

/** @import { Figures } from '../wire.ts' */

/**
 * @typedef {object} Figure
 * @property {string} label
 * @property {string} hint
 * @property {(figures: Figures) => readonly [figure: string, unit: string]} value
 * @property {(figures: Figures) => string} beside
 * @property {readonly ((figures: Figures) => number | null)[]} lines the first is the one that the value tells
 * @property {(value: number) => string} format
 * @property {number} [top]
 * @property {number} [topAtLeast]
 */

/** @type {readonly Figure[]} */
const FIGURES = [
  {
    label: 'Requests',
    hint: 'Answers to requests for rows.',
    value: ({ requests }) => [rate(requests), '/s'],
    beside: ({ rows }) => `${rate(rows)} rows/s`,
    lines: [({ requests }) => requests],
    format: compact,
    topAtLeast: 10,
  },
  {
    label: 'Hit ratio',
    hint: 'Of the rows asked for, those that a shard had.',
    value: ({ hitRatio }) => [percent(hitRatio), '%'],
    beside: ({ stored }) => `${rate(stored)} stored/s`,
    lines: [({ hitRatio }) => (hitRatio === null ? null : hitRatio * 100)],
    format: (value) => `${value}`,
    top: 100,
  },
  {
    label: 'MySQL reads',
    hint: 'SELECTs sent to MySQL for rows; each asks for all that are missed at that moment.',
    value: ({ originReads }) => [rate(originReads), '/s'],
    beside: ({ originRows, waiting }) => `${rate(originRows)} rows/s, ${waiting} waiting`,
    lines: [({ originReads }) => originReads],
    format: compact,
    topAtLeast: 10,
  },
  {
    label: 'Latency, p99',
    hint: 'From a request’s arrival to its answer, from the histogram’s buckets. The thin line is the median.',
    value: ({ p99Ms }) => {
      const text = latencyText(p99Ms).split(' ');
      return [text.slice(0, -1).join(' ') || UNKNOWN_FIGURE, text.length > 1 ? (text.at(-1) ?? '') : ''];
    },
    beside: ({ p50Ms }) => `p50 ${latencyText(p50Ms)}`,
    lines: [({ p99Ms }) => p99Ms, ({ p50Ms }) => p50Ms],
    format: compactMs,
    topAtLeast: 1,
  },
  {
    label: 'Lag, worst',
    hint: 'How old what the shards vouch for is: of those that answer, the one that has heard least lately.',
    value: ({ lagMs }) => duration(lagMs),
    beside: ({ lagMs }) => (lagMs === null ? 'changes are not followed' : 'behind MySQL'),
    lines: [({ lagMs }) => lagMs],
    format: compactMs,
    topAtLeast: 100,
  },
  {
    label: 'Problems',
    hint: 'Answers that are problem documents; “no such row” is not one of these.',
    value: ({ errors }) => [rate(errors), '/s'],
    beside: () => 'answers with a problem',
    lines: [({ errors }) => errors],
    format: compact,
    topAtLeast: 10,
  },
];

const KEPT = 300;
const TABLE_EVERY = 15;

export class FiguresView {
  /** @type {Figures[]} */
  #history = [];
  /** @type {number | null} Where the pointer is. */
  #cursor = null;
  #cards;
  #table = /** @type {HTMLDetailsElement} */ (byId('figures-table'));

  constructor() {
    this.#cards = FIGURES.map((figure) => new Card(figure, (index) => this.#pointAt(index)));
    byId('figures').append(...this.#cards.map((card) => card.element));
    this.#table.addEventListener('toggle', () => this.#drawTable());
  }

  /** @param {readonly Figures[]} history */
  begin(history) {
    this.#history = [...history];
    this.#draw();
  }

  /** @param {Figures} figures */
  add(figures) {
    if (this.#history.at(-1)?.at === figures.at) return;
    this.#history.push(figures);
    if (this.#history.length > KEPT) this.#history.shift();
    this.#draw();
  }

  #draw() {
    for (const card of this.#cards) card.draw(this.#history);
    this.#tell();
    // A table that changes under whoever reads it is no table: it stands still while it is open.
    if (!this.#table.open) this.#drawTable();
  }

  /** @param {number | null} index */
  #pointAt(index) {
    this.#cursor = index;
    this.#tell();
  }

  #tell() {
    const at = this.#cursor === null ? undefined : this.#history[this.#cursor];
    const shown = at ?? this.#history.at(-1);
    if (shown === undefined) return;
    setText(byId('figures-when'), at === undefined ? 'the last five minutes' : `at ${clock(at.at)}`);
    for (const card of this.#cards) card.tell(shown);
  }

  #drawTable() {
    const rows = this.#history
      .filter((_, index) => (this.#history.length - 1 - index) % TABLE_EVERY === 0)
      .toReversed();
    const head = element('tr', {}, element('th', { scope: 'col' }, 'Time'));
    for (const { label } of FIGURES) head.append(element('th', { scope: 'col', class: 'number' }, label));
    const body = element('tbody');
    for (const figures of rows) {
      const row = element('tr', {}, element('th', { scope: 'row' }, clock(figures.at)));
      for (const { value } of FIGURES)
        row.append(element('td', { class: 'number' }, value(figures).join(' ').trim().replace(' /s', '/s')));
      body.append(row);
    }
    const caption = element('caption', { id: 'figures-caption' }, `One line for every ${TABLE_EVERY} seconds`);
    const table = element('table', {}, caption, element('thead', {}, head), body);
    this.#table.querySelector('.scrolling')?.replaceChildren(table);
  }
}

class Card {
  element;
  #figure;
  #chart;
  #value = element('span', { class: 'value' }, UNKNOWN_FIGURE);
  #unit = element('span', { class: 'unit' });
  #beside = element('p', { class: 'beside' });

  /**
   * @param {Figure} figure
   * @param {(index: number | null) => void} onCursor
   */
  constructor(figure, onCursor) {
    this.#figure = figure;
    const { label, hint, format, lines, top, topAtLeast } = figure;
    this.#chart = new Chart(
      {
        label,
        format,
        lines: lines.map((_, index) => ({ ink: index === 0 ? 'accent' : 'muted' })),
        ...(top !== undefined && { top }),
        ...(topAtLeast !== undefined && { topAtLeast }),
      },
      onCursor,
    );
    this.element = element(
      'article',
      { class: 'figure', 'aria-label': label, title: hint },
      element('h3', {}, label),
      element('p', { class: 'reading' }, this.#value, ' ', this.#unit),
      this.#beside,
      this.#chart.element,
    );
  }

  /** @param {Figures} figures */
  tell(figures) {
    const [value, unit] = this.#figure.value(figures);
    setText(this.#value, value);
    setText(this.#unit, value === UNKNOWN_FIGURE ? '' : unit);
    setText(this.#beside, this.#figure.beside(figures));
  }

  /** @param {readonly Figures[]} history */
  draw(history) {
    this.#chart.draw(
      history.map(({ at }) => at / 1_000),
      this.#figure.lines.map((line) => history.map(line)),
    );
  }
}

const COMPACT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

function compact(/** @type {number} */ value) {
  return COMPACT.format(value);
}

function compactMs(/** @type {number} */ value) {
  return value === 0 ? '0' : durationText(value).replace('.0 ', ' ');
}

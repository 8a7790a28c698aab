/** The table of shards, ring by ring; and the sentence at the top that says how they are. */
import { byId, element, setText } from './dom.js';
import { bytesText, clock, counted, durationText, listed, percent, stateWords, UNKNOWN_FIGURE } from './words.js';

/** @import { LayerNow, Now, ShardNow } from '../wire.ts' */

/**
 * @typedef {object} Row
 * @property {HTMLElement} symbol
 * @property {HTMLElement} word
 * @property {HTMLElement} meaning
 * @property {HTMLElement} share
 * @property {HTMLElement} asOf
 * @property {HTMLElement} lag
 */

export class ShardsTable {
  #table = byId('shards');
  #drawn = '';
  /** @type {Map<string, Row>} */
  #rows = new Map();

  /** @param {readonly LayerNow[]} layers */
  show(layers) {
    const shape = JSON.stringify(layers.map(({ ring, shards }) => [ring, shards.map(({ shard }) => shard)]));
    if (shape !== this.#drawn) this.#draw(layers);
    this.#drawn = shape;
    for (const { ring, shards } of layers) {
      for (const shard of shards) {
        const row = this.#rows.get(JSON.stringify([ring, shard.shard]));
        if (row !== undefined) tell(row, shard);
      }
    }
  }

  /** @param {readonly LayerNow[]} layers */
  #draw(layers) {
    this.#rows.clear();
    for (const body of this.#table.querySelectorAll('tbody')) body.remove();
    for (const [index, { ring, shards }] of layers.entries()) {
      const place = index === 0 ? 'asked first' : index === 1 ? 'asked next' : `asked after ${index} others`;
      const title = element(
        'th',
        { scope: 'rowgroup', colspan: '5' },
        ring,
        ' ',
        element('span', { class: 'quiet' }, place),
      );
      const body = element('tbody', {}, element('tr', { class: 'group' }, title));
      for (const { shard } of shards) {
        const row = {
          symbol: element('span', { class: 'symbol', 'aria-hidden': 'true' }),
          word: element('span', { class: 'word' }),
          meaning: element('span', { class: 'quiet' }),
          share: element('td', { class: 'number' }),
          asOf: element('td', { class: 'number' }),
          lag: element('td', { class: 'number' }),
        };
        const state = element('td', { class: 'state' }, row.symbol, row.word, ' ', row.meaning);
        body.append(element('tr', {}, element('th', { scope: 'row' }, shard), state, row.share, row.asOf, row.lag));
        this.#rows.set(JSON.stringify([ring, shard]), row);
      }
      this.#table.append(body);
    }
  }
}

/**
 * @param {Row} row
 * @param {ShardNow} shard
 */
function tell({ symbol, word, meaning, share, asOf, lag }, { state, share: part, asOf: at, lagMs, refillingSince }) {
  const words = stateWords(state);
  /** @type {HTMLElement} */ (word.parentElement).dataset['kind'] = words.kind;
  setText(symbol, words.symbol);
  setText(word, state);
  const refilling = refillingSince && `refilling since ${clock(Date.parse(refillingSince))}`;
  setText(meaning, words.kind === 'good' ? (refilling ?? '') : words.meaning);
  setText(share, part === 0 ? 'former' : `${percent(part)} %`);
  setText(asOf, at === null ? UNKNOWN_FIGURE : clock(Date.parse(at)));
  asOf.title = at ?? '';
  setText(lag, durationText(lagMs));
}

/**
 * How it is, in one sentence.
 * @param {Now} now
 */
export function standingOf({ layers, isOriginUp, whyNotReady }) {
  const all = layers.flatMap(({ shards }) => shards);
  const out = all.filter(({ state }) => stateWords(state).kind === 'bad');
  const doubtful = all.filter(({ state }) => stateWords(state).kind === 'warn');
  if (whyNotReady !== null) return `Not ready: ${whyNotReady}.`;
  if (!isOriginUp) return 'MySQL does not answer; what is cached is served.';
  if (out.length > 0) return `${sentence(out)}; ${out.length === 1 ? 'its' : 'their'} keys are answered elsewhere.`;
  if (doubtful.length > 0) return `${sentence(doubtful)}.`;
  return `All ${counted(all.length, 'shard')} answer.`;
}

/** @param {readonly ShardNow[]} shards `r1 is down`, `r1 and r2 are down`, `r1 is down and r2 is slow` */
function sentence(shards) {
  /** @type {Map<string, string[]>} */
  const byState = new Map();
  for (const { shard, state } of shards) byState.set(state, [...(byState.get(state) ?? []), shard]);
  return listed(
    [...byState].map(([state, names]) => `${listed(names)} ${names.length === 1 ? 'is' : 'are'} ${inWords(state)}`),
  );
}

/** @param {string} state */
function inWords(state) {
  switch (state) {
    case 'no-stamp':
      return 'without a stamp';
    case 'refuses-writes':
      return 'refusing writes';
    case 'went-back':
      return 'restored from an old dump';
    default:
      return state.replaceAll('-', ' ');
  }
}

/**
 * What else there is to know.
 * @param {Now} now
 * @param {boolean} isSynced
 */
export function notesOf({ isOriginUp, worker }, isSynced) {
  const origin = `MySQL ${isOriginUp ? 'answers' : 'does not answer'}`;
  if (!isSynced) return [origin, 'changes are not followed: rows live by their TTL'];
  if (worker === null) return [origin, 'no sync worker answers on this host'];
  const backlog = worker.bytesBehind === null ? [] : [`${bytesText(worker.bytesBehind)} of binlog not read yet`];
  return [origin, `the sync worker is ${worker.state}`, ...backlog];
}

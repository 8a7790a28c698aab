/** A key's whole story: asked for by whoever looks, and told as a sentence, a table of places, and the row. */
import { byId, element, setText } from './dom.js';
import { ask, order } from './stream.js';
import { clock, listed, secondsText, UNKNOWN_FIGURE } from './words.js';

/** @import { HeldStory, Invalidation, KeyStory } from '../wire.ts' */

/** @type {Readonly<Record<string, string>>} */
const BECAUSE = {
  'by-stamp': 'the shard vouches for it',
  'by-ttl': 'within its TTL',
  'until-lost': 'the shard vouched for it until lately',
  complete: 'the shard has every row there is',
  none: '',
  expired: 'past its TTL',
  dropped: 'from before what the shard vouches for',
  'other-shape': 'of other columns than now',
  unreadable: 'not an entry of ringfill’s',
  'answered-ahead': 'older than what was answered before',
  incomplete: 'not every row is known to be there',
  'too-large': 'larger than rowBytesMax',
  'no-stamp': 'the shard has no stamp',
  'not-followed': 'its changes are not followed there',
  behind: 'the shard has not heard of changes lately',
  'clock-ahead': 'the shard’s stamp is from the future',
  'went-back': 'the shard was restored from an old dump',
  'told-again': 'changes are being told again',
};

/** @type {Readonly<Record<HeldStory['kind'], string>>} */
const HELD = {
  row: 'the row',
  negative: 'no such row',
  'too-large': 'a row, too large to keep',
  none: 'nothing',
  unreadable: 'something else',
  unreached: 'not reached',
};

const CELL_MAX = 400;

export class StoryView {
  #form = /** @type {HTMLFormElement} */ (byId('story-form'));
  #input = /** @type {HTMLInputElement} */ (byId('story-key'));
  #verdict = byId('story-verdict');
  #told = byId('story');
  #act = byId('story-invalidate');
  #onCandidates;
  #askForKey;
  #askForAdminKey;
  #asked = new AbortController();
  #hasAdmin = false;
  /** @type {KeyStory | undefined} */
  #shown;
  /** Not kept for longer than the page, and used for nothing else. @type {string | undefined} */
  #adminKey;

  /**
   * @param {(candidates: readonly HeldStory[]) => void} onCandidates where the key may lie
   * @param {object} keys
   * @param {() => Promise<void>} keys.askForKey settles when one has been given, or none
   * @param {() => Promise<string>} keys.askForAdminKey settles with one, or with nothing
   */
  constructor(onCandidates, { askForKey, askForAdminKey }) {
    this.#onCandidates = onCandidates;
    this.#askForKey = askForKey;
    this.#askForAdminKey = askForAdminKey;
    this.#act.addEventListener('click', (event) => {
      if (event.target instanceof HTMLButtonElement) void this.#invalidate();
    });
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      const key = this.#input.value.trim();
      // So that it can be passed on, or found again.
      history.replaceState(null, '', `#key=${encodeURIComponent(key)}`);
      void this.#ask(key);
    });
    addEventListener('hashchange', () => this.#askOfAddress());
    this.#askOfAddress();
  }

  /** @param {boolean} hasAdmin whether the gateway has routes that change something */
  allow(hasAdmin) {
    this.#hasAdmin = hasAdmin;
    this.#showAct();
  }

  /** A mirror's rows are the sync worker's. */
  #showAct() {
    this.#act.hidden = !this.#hasAdmin || this.#shown?.mode !== 'read-through';
  }

  async #invalidate() {
    const key = this.#shown?.key;
    if (key === undefined) return;
    const path = `ring/invalidate?key=${encodeURIComponent(key)}`;
    try {
      let answer = await order(path, this.#adminKey);
      if (answer.status === 401 || answer.status === 403) {
        const given = await this.#askForAdminKey();
        if (given === '') return;
        answer = await order(path, given);
        if (answer.ok) this.#adminKey = given;
      }
      const told = await answer.json();
      if (answer.ok) await this.#ask(key, saidOf(/** @type {Invalidation} */ (told)));
      else this.#say('bad', `${told.title}. ${told.detail}`);
    } catch {
      this.#say('bad', 'The gateway does not answer.');
    }
  }

  #askOfAddress() {
    const key = new URLSearchParams(location.hash.slice(1)).get('key');
    if (key === null || key === '') return;
    this.#input.value = key;
    void this.#ask(key);
  }

  /**
   * @param {string} key
   * @param {string} [said] before what is told of it
   */
  async #ask(key, said = '') {
    this.#asked.abort();
    this.#asked = new AbortController();
    const { signal } = this.#asked;
    try {
      const path = `ring/story?key=${encodeURIComponent(key)}`;
      let answer = await ask(path, signal);
      if (answer.status === 401) {
        // A story shows a row: for that the password that the browser knows is not enough.
        await this.#askForKey();
        answer = await ask(path, signal);
      }
      const told = await answer.json();
      if (signal.aborted) return;
      if (answer.ok) this.#tell(/** @type {KeyStory} */ (told), said);
      else this.#refuse(`${told.title}. ${told.detail}`);
    } catch {
      if (!signal.aborted) this.#refuse('The gateway does not answer.');
    }
  }

  /** @param {string} why */
  #refuse(why) {
    this.#say('bad', why);
    this.#told.replaceChildren();
    this.#shown = undefined;
    this.#showAct();
    this.#onCandidates([]);
  }

  /**
   * @param {KeyStory} story
   * @param {string} said
   */
  #tell(story, said) {
    const differing = story.candidates.filter(({ agrees, counts }) => agrees === false && counts);
    this.#say(differing.length > 0 ? 'bad' : 'good', said + verdictOf(story));
    this.#told.replaceChildren(placesOf(story), rowOf(story));
    this.#shown = story;
    this.#showAct();
    this.#onCandidates(story.candidates);
  }

  /**
   * @param {'good' | 'bad'} kind
   * @param {string} text
   */
  #say(kind, text) {
    this.#verdict.dataset['kind'] = kind;
    setText(this.#verdict, text);
  }
}

/** @param {Invalidation} done */
function saidOf({ shards }) {
  const named = (/** @type {Invalidation['shards'][number]['outcome']} */ wanted) =>
    shards.filter(({ outcome }) => outcome === wanted).map(({ shard }) => shard);
  const [removed, unreached] = [named('removed'), named('unreached')];
  const gone = removed.length === 0 ? 'No shard that answers had it. ' : `Taken out of ${listed(removed)}. `;
  if (unreached.length === 0) return gone;
  return `${gone}${listed(unreached)} ${unreached.length === 1 ? 'was' : 'were'} not reached: what lies there stays. `;
}

/** @param {KeyStory} story */
function verdictOf({ candidates, origin, mode }) {
  const having = candidates.filter(({ counts }) => counts);
  const differing = having.filter(({ agrees }) => agrees === false);
  if (differing.length > 0)
    return `${listed(differing.map(({ shard }) => shard))} and MySQL differ. A change that is on its way arrives within the lag; look again.`;
  if (having.length === 0) {
    if (mode === 'mirror') return 'No shard can say whether there is such a row.';
    return origin.kind === 'row'
      ? 'MySQL has the row, and no shard: the next request fetches it.'
      : 'No shard has it; the next request asks MySQL.';
  }
  const who = listed(having.map(({ shard }) => shard));
  const says = having.some(({ kind }) => kind === 'row') ? 'the row' : 'that there is no such row';
  if (origin.kind === 'unavailable')
    return `${who} ${having.length === 1 ? 'has' : 'have'} it; MySQL cannot be asked now.`;
  return `${who} ${having.length === 1 ? 'has' : 'have'} ${says}, as MySQL says it now.`;
}

/** @param {KeyStory} story */
function placesOf({ key, table, mode, isFollowed, place, candidates, origin }) {
  const head = ['Where', 'What lies there', 'Counts', 'Known to be so', 'Expires', 'Version', 'Same as MySQL'];
  const titles = element('tr');
  for (const title of head) titles.append(element('th', { scope: 'col' }, title));
  const body = element('tbody');
  for (const held of candidates) body.append(placeRow(held));
  body.append(
    element(
      'tr',
      { class: 'origin' },
      element('th', { scope: 'row' }, 'MySQL'),
      element(
        'td',
        {},
        origin.kind === 'row' ? 'the row' : origin.kind === 'absent' ? 'no such row' : `not asked: ${origin.because}`,
        origin.id === null ? null : element('span', { class: 'quiet' }, `spelled ${origin.id}`),
      ),
      element('td', {}, origin.kind === 'unavailable' ? '' : 'always'),
      element('td', {}, origin.kind === 'unavailable' ? '' : 'now'),
      element('td'),
      element('td'),
      element('td'),
    ),
  );
  const facts = [`${table}, ${mode}`, isFollowed ? 'changes followed' : 'by TTL', `place ${hex(place)} of the ring`];
  const caption = element('caption', { id: 'places-caption' }, element('code', {}, key), ` ${facts.join(' · ')}`);
  const places = element('table', { class: 'places' }, caption, element('thead', {}, titles), body);
  const attributes = { class: 'scrolling', role: 'region', tabindex: '0', 'aria-labelledby': 'places-caption' };
  return element('div', attributes, places);
}

/** @param {HeldStory} held */
function placeRow(held) {
  const { shard, ring, kind, counts, because, ageSeconds, freshSeconds, version, exactness, agrees } = held;
  const why = kind === 'unreached' ? `the shard is ${because}` : (BECAUSE[because] ?? because);
  const isThere = kind !== 'none' && kind !== 'unreached';
  const same = agrees === null ? UNKNOWN_FIGURE : agrees ? '= yes' : '≠ no';
  return element(
    'tr',
    {},
    element('th', { scope: 'row' }, shard, ' ', element('span', { class: 'quiet' }, ring)),
    element('td', {}, HELD[kind]),
    element(
      'td',
      { class: 'state', 'data-kind': counts ? 'good' : isThere ? 'warn' : 'none' },
      element('span', { class: 'word' }, counts ? 'yes' : 'no'),
      ' ',
      element('span', { class: 'quiet' }, why),
    ),
    element(
      'td',
      {},
      ageSeconds === null ? UNKNOWN_FIGURE : ageSeconds === 0 ? 'just now' : `${secondsText(ageSeconds)} ago`,
    ),
    element('td', {}, freshSeconds === null ? (isThere ? 'never' : UNKNOWN_FIGURE) : expiryText(freshSeconds)),
    version === null
      ? element('td', {}, UNKNOWN_FIGURE)
      : element(
          'td',
          { title: version },
          element('code', {}, versionText(version)),
          ' ',
          element('span', { class: 'quiet' }, exactness ?? ''),
        ),
    element('td', { class: 'state', 'data-kind': agrees === false ? (counts ? 'bad' : 'warn') : 'none' }, same),
  );
}

/** @param {number} freshSeconds */
function expiryText(freshSeconds) {
  return freshSeconds > 0 ? `in ${secondsText(freshSeconds)}` : `${secondsText(-freshSeconds)} ago`;
}

/**
 * Column by column: what MySQL says, and beside it what says otherwise.
 * @param {KeyStory} story
 */
function rowOf({ candidates, origin }) {
  const sources = [
    ...(origin.row === null ? [] : [{ name: 'MySQL', row: origin.row }]),
    ...candidates.flatMap(({ shard, row }) => (row === null ? [] : [{ name: shard, row }])),
  ];
  const distinct = sources.filter(({ row }, index) => sources.findIndex((other) => other.row === row) === index);
  if (distinct.length === 0) return element('p');
  const columns = distinct.map(({ name, row }) => {
    const same = sources.filter((source) => source.row === row).map((source) => source.name);
    return { title: listed(same), name, cells: cellsOf(row) };
  });
  const head = element('tr', {}, element('th', { scope: 'col' }, 'Column'));
  for (const { title } of columns) head.append(element('th', { scope: 'col' }, title));
  const body = element('tbody');
  for (const column of new Set(columns.flatMap(({ cells }) => [...cells.keys()]))) {
    const row = element('tr', {}, element('th', { scope: 'row' }, element('code', {}, column)));
    const first = columns[0]?.cells.get(column);
    for (const { cells } of columns) {
      const text = cells.get(column) ?? '';
      const shown = text.length > CELL_MAX ? `${text.slice(0, CELL_MAX)}…` : text;
      row.append(element('td', {}, text === first ? element('code', {}, shown) : element('mark', {}, shown)));
    }
    body.append(row);
  }
  const caption = element('caption', { id: 'row-caption' }, `The row, at ${clock(Date.now())}`);
  const table = element('table', { class: 'columns' }, caption, element('thead', {}, head), body);
  const attributes = { class: 'scrolling', role: 'region', tabindex: '0', 'aria-labelledby': 'row-caption' };
  return element('div', attributes, table);
}

/**
 * Each value as it stands in the JSON.
 * @param {string} row
 * @returns {Map<string, string>}
 */
function cellsOf(row) {
  return new Map(Object.entries(JSON.parse(row)).map(([column, value]) => [column, JSON.stringify(value)]));
}

/** The fields of a version, without their leading zeros: epoch, file, position, ordinal. */
function versionText(/** @type {string} */ version) {
  if (/^0+$/.test(version)) return 'without sync';
  const fields = [version.slice(0, 10), version.slice(10, 20), version.slice(20, 35), version.slice(35)];
  return fields.map((field) => field.replace(/^0+(?=.)/, '')).join(' · ');
}

/** @param {number} place */
function hex(place) {
  return `0x${place.toString(16).padStart(8, '0')}`;
}

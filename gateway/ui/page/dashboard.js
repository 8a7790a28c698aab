/** The page: what the gateway tells goes to those who show it. */
import { byId, setText } from './dom.js';
import { FiguresView } from './figures.js';
import { JourneysView } from './journeys.js';
import { RingView } from './ring.js';
import { notesOf, ShardsTable, standingOf } from './shards.js';
import { StoryView } from './story.js';
import { follow, keepKey } from './stream.js';
import { element } from './dom.js';

/** @import { About, History, Now } from '../wire.ts' */
/** @import { Connection } from './stream.js' */

const figures = new FiguresView();
const ring = new RingView();
const shards = new ShardsTable();
const journeys = new JourneysView();

/** @type {About | undefined} */
let about;
/** @type {Now | undefined} */
let last;
let standing = '';
/** @type {Connection} */
let connection = 'connecting';

/** @type {Readonly<Record<Connection, string>>} */
const CONNECTION_WORDS = {
  connecting: 'connecting',
  live: 'live',
  lost: 'no connection; trying again',
  'no-key': 'a key is asked for',
};

/**
 * Read out, once.
 * @param {string} text
 */
function announce(text) {
  setText(byId('announcer'), text);
}

/** @param {Connection} next */
function onConnection(next) {
  if (next === connection) return;
  const wasLost = connection === 'lost';
  connection = next;
  const shown = byId('connection');
  shown.dataset['state'] = next;
  setText(shown, CONNECTION_WORDS[next]);
  document.body.classList.toggle('stale', next === 'lost');
  if (next === 'lost') announce('The gateway does not answer. What is shown is old.');
  else if (next === 'live' && wasLost) announce('The gateway answers again.');
}

/**
 * @param {string} event
 * @param {unknown} data
 */
function onEvent(event, data) {
  switch (event) {
    case 'about':
      onAbout(/** @type {About} */ (data));
      break;
    case 'history':
      figures.begin(/** @type {History} */ (data));
      break;
    case 'now':
      onNow(/** @type {Now} */ (data));
      break;
  }
}

/** @param {About} told */
function onAbout(told) {
  about = told;
  setText(byId('version'), `ringfill ${told.version}`);
  ring.sampled(told.samples);
  journeys.begin(told);
  story.allow(told.hasAdmin);
  if (last !== undefined) show(last);
}

/** @param {Now} now */
function onNow(now) {
  last = now;
  figures.add(now.figures);
  show(now);
  const sentence = standingOf(now);
  setText(byId('standing-title'), sentence);
  // Only what has become different is worth hearing.
  if (standing !== '' && sentence !== standing) announce(sentence);
  standing = sentence;
  document.title = sentence.startsWith('All ') ? 'ringfill' : `${sentence} – ringfill`;
}

/** @param {Now} now */
function show(now) {
  ring.show(now.layers);
  shards.show(now.layers);
  journeys.show(now);
  const notes = notesOf(now, about?.isSynced ?? true);
  const list = byId('standing-notes');
  if ([...list.children].map(({ textContent }) => textContent).join() === notes.join()) return;
  list.replaceChildren(...notes.map((note) => element('li', {}, note)));
}

/**
 * @param {string} title
 * @param {string} why
 * @returns {Promise<string>} what was given; nothing where the dialog was left
 */
function askInDialog(title, why) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('sign-in'));
  const input = /** @type {HTMLInputElement} */ (byId('sign-in-key'));
  setText(byId('sign-in-title'), title);
  setText(byId('sign-in-why'), why);
  dialog.showModal();
  // Whoever leaves it has given nothing.
  dialog.addEventListener('cancel', () => (input.value = ''), { once: true });
  return new Promise((settle) => {
    dialog.addEventListener(
      'close',
      () => {
        settle(input.value);
        input.value = '';
      },
      { once: true },
    );
  });
}

/** @type {Promise<void> | undefined} */
let asking;

/** Settles when a key has been given, or the dialog was left: whoever asks meanwhile waits for the same. */
function askForKey() {
  asking ??= askInDialog(
    'This gateway asks for a key',
    'It is kept until this tab is closed, and sent to this gateway alone.',
  ).then((key) => {
    if (key !== '') keepKey(key);
    asking = undefined;
  });
  return asking;
}

function askForAdminKey() {
  return askInDialog(
    'This wants an admin key',
    'It is kept until this page is left, and sent to this gateway alone, with what changes something.',
  );
}

const story = new StoryView((candidates) => ring.mark(candidates), { askForKey, askForAdminKey });
void follow({ onEvent, onConnection, askForKey });

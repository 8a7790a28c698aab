/**
 * The gateway's events, read with fetch: an EventSource can send no key. Comes back by itself whenever the stream ends, is
 * refused, or falls silent.
 */

/** @typedef {'connecting' | 'live' | 'lost' | 'no-key'} Connection */

/**
 * @typedef {object} StreamOptions
 * @property {(event: string, data: unknown) => void} onEvent
 * @property {(connection: Connection) => void} onConnection
 * @property {() => Promise<void>} askForKey settles when there is another key to try
 */

const KEY_STORED_AS = 'ringfill-key';
/** The gateway says something each second. */
const SILENCE_MS = 10_000;
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 8_000;

/** @param {string} key */
export function keepKey(key) {
  sessionStorage.setItem(KEY_STORED_AS, key);
}

/** @returns {Record<string, string>} */
function authorization() {
  const key = sessionStorage.getItem(KEY_STORED_AS);
  return key === null ? {} : { authorization: `Bearer ${key}` };
}

/**
 * Data of the gateway's, with the key that was given.
 * @param {string} path relative to the page
 * @param {AbortSignal} [signal]
 */
export function ask(path, signal) {
  return fetch(path, { headers: authorization(), cache: 'no-store', signal: signal ?? null });
}

/**
 * Has the gateway do something.
 * @param {string} path relative to the page
 * @param {string | undefined} key instead of the one that was given
 */
export function order(path, key) {
  const headers = key === undefined ? authorization() : { authorization: `Bearer ${key}` };
  return fetch(path, { method: 'POST', headers, cache: 'no-store' });
}

/**
 * Never settles.
 * @param {StreamOptions} options
 */
export async function follow({ onEvent, onConnection, askForKey }) {
  let retryMs = RETRY_MS;
  for (;;) {
    try {
      const answer = await listen((event, data) => {
        retryMs = RETRY_MS;
        onConnection('live');
        onEvent(event, data);
      });
      if (answer.status === 401 || answer.status === 403) {
        onConnection('no-key');
        await askForKey();
        continue;
      }
    } catch {
      // The gateway is away, or the network is: the same to us.
    }
    onConnection('lost');
    await new Promise((settle) => setTimeout(settle, retryMs));
    retryMs = Math.min(retryMs * 2, RETRY_MS_MAX);
  }
}

/**
 * Settles when the stream has ended, or there is none.
 * @param {(event: string, data: unknown) => void} onEvent
 */
async function listen(onEvent) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const answer = await ask('ui/events', silence.signal);
    if (!answer.ok || answer.body === null) return answer;
    let rest = '';
    for await (const text of chunksOf(answer.body.pipeThrough(new TextDecoderStream()))) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const [, event = '', data = 'null'] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? [];
        onEvent(event, JSON.parse(data));
      }
    }
    return answer;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Not every browser lets a stream be walked by `for await`.
 * @param {ReadableStream<string>} stream
 */
async function* chunksOf(stream) {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

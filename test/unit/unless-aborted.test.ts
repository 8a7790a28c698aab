/** Work that ends early when a signal comes. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { unlessAborted } from '../../shared/lifecycle/unless-aborted.ts';

const never = new Promise<never>(() => undefined);

test('the work’s own end is passed on, and nothing listens to the signal after it', async () => {
  const { signal } = new AbortController();
  assert.equal(await unlessAborted(Promise.resolve(7), signal), 7);
  await assert.rejects(unlessAborted(Promise.reject(new Error('broken')), signal), /broken/);
  assert.deepEqual(getEventListeners(signal, 'abort'), []);
});

test('a signal that comes meanwhile, or came before, ends the wait with its reason', async () => {
  const stopping = new AbortController();
  const waiting = unlessAborted(never, stopping.signal);
  stopping.abort(new Error('stopped'));
  await assert.rejects(waiting, /stopped/);
  await assert.rejects(unlessAborted(never, stopping.signal), /stopped/);
  assert.deepEqual(getEventListeners(stopping.signal, 'abort'), []);
});

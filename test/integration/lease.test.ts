/** Leases and fills on a real Redis: who may store what was read. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { decodeEntry, type Entry, VERSION_ZERO } from '../../shared/entry/entry.ts';
import type { LeaseOver } from '../../shared/shard/fill-scripts.ts';
import { Shard } from '../../shared/shard/shard.ts';
import { testStack } from '../support/stack.ts';
import { redisUrl } from '../support/least-privilege.ts';

const SHAPE = 'shape-01';
const stack = await testStack();

/** Two gateways' views of one Redis. */
const [ours, theirs] = await Promise.all(
  ['ours', 'theirs'].map(async (name) => {
    const shard = new Shard({
      name,
      ring: 'primary',
      endpoint: redisUrl(stack.redis[0]?.port ?? 0),
      timeoutMs: 2_000,
      failuresToOpen: 3,
      onChange: () => undefined,
    });
    after(() => shard.stop());
    await shard.start();
    return shard;
  }),
);
assert.ok(ours !== undefined && theirs !== undefined);

const ask = (over: LeaseOver, leaseTtlMs = 10_000) => ({ shape: SHAPE, leaseTtlMs, over });
const row = (text: string, readAtMs = Date.now(), ttlSeconds = 60): Entry => ({
  kind: 'row',
  exactness: 'inexact',
  isSecondHand: false,
  version: VERSION_ZERO,
  shape: SHAPE,
  readAtMs,
  ttlSeconds,
  body: Buffer.from(text),
});
let keys = 0;
const newKey = () => `lease-test-${process.pid}:${(keys += 1)}`;

async function tokenOf(shard: Shard, key: string, over: LeaseOver, leaseTtlMs?: number): Promise<string> {
  const outcome = await shard.lease(key, ask(over, leaseTtlMs));
  assert.equal(outcome.kind, 'lease');
  return outcome.kind === 'lease' ? outcome.token : '';
}

async function bodyAt(shard: Shard, key: string): Promise<string | undefined> {
  const { stored } = await shard.read(key);
  return stored === null ? undefined : decodeEntry(stored)?.body.toString();
}

test('one lease at a time: the other gateway is told that it is busy, until the fill; then it gets the entry', async () => {
  const key = newKey();
  const token = await tokenOf(ours, key, 'nothing');
  assert.equal((await theirs.lease(key, ask('nothing'))).kind, 'busy');
  assert.equal(await ours.fill(key, token, row('{"a":1}'), 60_000), 'stored');
  const outcome = await theirs.lease(key, ask('nothing'));
  assert.equal(outcome.kind === 'entry' && decodeEntry(outcome.stored)?.body.toString(), '{"a":1}');
});

test('a fill whose lease ran out, or was given back, is lost', async () => {
  const key = newKey();
  const released = await tokenOf(ours, key, 'nothing');
  await ours.release(key, released, 'keep');
  assert.equal(await ours.fill(key, released, row('late'), 60_000), 'lost');

  const token = await tokenOf(ours, key, 'nothing', 1);
  // Their lease is granted as soon as ours has run out.
  while ((await theirs.lease(key, ask('nothing'))).kind === 'busy');
  assert.equal(await ours.fill(key, token, row('late'), 60_000), 'lost');
  assert.equal(await bodyAt(ours, key), undefined);
});

test('a fresh read takes the lease out of the hands of an earlier one, which is then not stored over it', async () => {
  const key = newKey();
  const earlier = await tokenOf(ours, key, 'nothing');
  const fresh = await tokenOf(theirs, key, 'lease');
  assert.equal(await theirs.fill(key, fresh, row('{"v":"new"}'), 60_000), 'stored');
  assert.equal(await ours.fill(key, earlier, row('{"v":"old"}'), 60_000), 'lost');
  assert.equal(await bodyAt(ours, key), '{"v":"new"}');
});

test('a lease over an entry is given although it is fresh; over nothing only once it has expired', async () => {
  const key = newKey();
  const first = await tokenOf(ours, key, 'nothing');
  assert.equal(await ours.fill(key, first, row('fresh'), 60_000), 'stored');
  const over = await tokenOf(ours, key, 'entry');
  assert.equal((await theirs.lease(key, ask('entry'))).kind, 'busy', 'a refresh waits for another refresh');
  await ours.fill(key, over, row('expired', Date.now() - 61_000), 60_000);
  assert.equal((await theirs.lease(key, ask('nothing'))).kind, 'lease');
});

test('given back with `drop`, a lease takes the entry along, but only while it is held', async () => {
  const key = newKey();
  const first = await tokenOf(ours, key, 'nothing');
  await ours.fill(key, first, row('{"v":"was here"}'), 60_000);
  const held = await tokenOf(ours, key, 'entry');
  await theirs.release(key, 'another token', 'drop');
  assert.equal(await bodyAt(ours, key), '{"v":"was here"}');
  await ours.release(key, held, 'drop');
  assert.equal(await bodyAt(ours, key), undefined);
});

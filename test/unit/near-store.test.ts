/** What the near cache keeps: the sketch, admission under a scan, and the bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LRUCache } from 'lru-cache';
import { seededRandom } from '../../bench/load/random.ts';
import { zipfSampler } from '../../bench/load/zipf.ts';
import { encodeEntry, VERSION_ZERO } from '../../shared/entry/entry.ts';
import { TaggedBody } from '../../shared/entry/tagged-body.ts';
import { FREQUENCY_MAX, FrequencySketch } from '../../shared/shard/near/frequency-sketch.ts';
import { type Era, NearCounts, NearStore, OVERHEAD_BYTES } from '../../shared/shard/near/near-store.ts';

const SEED = 20_261_123;
const ERA: Era = { isOver: false };
const MEBIBYTE = 1_048_576;

test('the sketch never says less than there was, and seldom much more', () => {
  const keys = 10_000;
  const sketch = new FrequencySketch(keys);
  const sample = zipfSampler(keys, 1.1, seededRandom(SEED));
  const counts = new Map<number, number>();
  for (let drawn = 0; drawn < 5 * keys; drawn += 1) {
    const key = sample();
    counts.set(key, (counts.get(key) ?? 0) + 1);
    sketch.note(`shop_users_${key}`);
  }
  let tooHigh = 0;
  for (let key = 1; key <= keys; key += 1) {
    const truth = Math.min(counts.get(key) ?? 0, FREQUENCY_MAX);
    const told = sketch.frequencyOf(`shop_users_${key}`);
    assert.ok(told >= truth, `${key}: ${told} and not ${truth}`);
    if (told > truth + 1) tooHigh += 1;
  }
  assert.ok(tooHigh < keys / 100, `${tooHigh} of ${keys} keys are told more than one too high`);
});

test('what is long past counts for half, again and again', () => {
  const sketch = new FrequencySketch(16);
  for (let times = 0; times < FREQUENCY_MAX; times += 1) sketch.note('once hot');
  for (let uses = 0; uses < 10_000; uses += 1) sketch.used();
  assert.equal(sketch.frequencyOf('once hot'), 0);
  assert.ok(sketch.age > 4);
});

/** Hot rows over a Zipf, and beside every second read one of a scan that never comes back. */
function hotHits(scans: boolean, read: (key: string) => boolean): number {
  const sample = zipfSampler(20_000, 1, seededRandom(SEED));
  const reads = 200_000;
  let [hits, counted] = [0, 0];
  for (let at = 0; at < reads; at += 1) {
    const hit = read(`shop_users_${sample()}`);
    if (scans && at % 2 === 0) read(`shop_orders_${at}`);
    if (at < reads / 4) continue;
    counted += 1;
    if (hit) hits += 1;
  }
  return hits / counted;
}

test('a scan of fifty times what fits takes little of the hot rows’ hits, where the least recently used alone loses much', () => {
  const body = Buffer.alloc(200, 'x');
  const fits = 2_000;
  const room = fits * (body.length + OVERHEAD_BYTES + 18);
  const near = () => {
    const store = new NearStore(room);
    return (key: string) => {
      if (store.get(key, ERA) !== undefined) return true;
      store.offer(key, ERA, body);
      return false;
    };
  };
  const plain = () => {
    const cache = new LRUCache<string, Buffer>({ max: fits });
    return (key: string) => {
      if (cache.get(key) !== undefined) return true;
      cache.set(key, body);
      return false;
    };
  };
  const [calm, scanned] = [hotHits(false, near()), hotHits(true, near())];
  const [calmPlain, scannedPlain] = [hotHits(false, plain()), hotHits(true, plain())];
  process.stdout.write(
    `ℹ hit ratio of the hot rows, seed ${SEED}: ${calm.toFixed(3)}, beside a scan ${scanned.toFixed(3)}; ` +
      `least recently used alone ${calmPlain.toFixed(3)}, ${scannedPlain.toFixed(3)}\n`,
  );
  assert.ok(calm > calmPlain);
  assert.ok(calm - scanned < (calmPlain - scannedPlain) / 2, 'it loses less than half as much');
  assert.ok(scanned > calmPlain, 'beside the scan it is better than the other without');
});

test('it takes no more than it was told, by its own accounts, whatever is offered', () => {
  const random = seededRandom(SEED);
  const counts = new NearCounts();
  const store = new NearStore(MEBIBYTE, counts);
  for (let offers = 0; offers < 20_000; offers += 1) {
    const key = `k${Math.floor(random() * 3_000)}`;
    if (store.get(key, ERA) === undefined) store.offer(key, ERA, Buffer.alloc(Math.floor(random() ** 4 * 100_000)));
    assert.ok(store.bytes <= MEBIBYTE, `${store.bytes} bytes`);
  }
  assert.ok(store.bytes > 0.8 * MEBIBYTE);
  assert.ok(counts.admitted > 0 && counts.rejected > 0 && counts.evicted > 0);
  store.offer('larger than everything', ERA, Buffer.alloc(2 * MEBIBYTE));
  assert.equal(store.get('larger than everything', ERA), undefined);
});

test('what it keeps is the row byte for byte, whatever becomes of the socket’s bytes', () => {
  const store = new NearStore(MEBIBYTE);
  const json = '{"name":"Zoë 雪"}';
  const head = {
    kind: 'row',
    exactness: 'exact',
    isSecondHand: false,
    version: VERSION_ZERO,
    shape: 'shape--1',
  } as const;
  const entry = { ...head, readAtMs: 1, ttlSeconds: 2, body: Buffer.from(json) };
  const replied = encodeEntry(entry);
  store.offer('key', ERA, replied);
  replied.fill(0);
  const kept = store.get('key', ERA);
  assert.deepEqual({ ...kept?.entry, body: kept?.body.bytes }, entry);
  assert.equal(kept?.body.etag, new TaggedBody(Buffer.from(json)).etag);
  assert.equal(kept.body, store.get('key', ERA)?.body);
  store.offer('key', ERA, Buffer.from('no entry'));
  assert.equal(store.get('key', ERA)?.entry, undefined);
});

test('what an era that is over has left is no answer, and makes room for anyone', () => {
  const store = new NearStore(MEBIBYTE);
  const over: Era = { isOver: false };
  for (let uses = 0; uses < 10; uses += 1) {
    for (let key = 0; key < 2_000; key += 1) {
      if (store.get(`old_${key}`, over) === undefined) store.offer(`old_${key}`, over, Buffer.alloc(1_000));
    }
  }
  over.isOver = true;
  store.offer('new', ERA, Buffer.alloc(1_000));
  assert.equal(store.get('new', ERA)?.stored.length, 1_000);
  assert.equal(store.get('old_1', ERA), undefined);
});

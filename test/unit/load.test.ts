import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failuresOf, hitRatio, reportText } from '../../bench/load/report.ts';
import { type Load, type LoadResult, runLoad } from '../../bench/load/run-load.ts';
import { StoryTally } from '../../bench/load/story-tally.ts';
import { cacheStatus, cacheStatusOfMany } from '../../gateway/http/cache-status.ts';
import type { Story } from '../../gateway/journey/answer.ts';
import { scriptedServer, sendJson, sendProblem } from '../support/scripted-server.ts';

const place = { shard: 'r2', layer: 0 };
const STORIES: Story[] = [
  { outcome: 'hit', place, freshSeconds: 3, ageSeconds: 1 },
  { outcome: 'hit', place: { shard: 'f1', layer: 1 }, freshSeconds: 3, ageSeconds: 1 },
  { outcome: 'expired', place, freshSeconds: -3, ageSeconds: 9, because: 'origin-timeout' },
  { outcome: 'stored', place, fwd: 'miss' },
  { outcome: 'collapsed', place, fwd: 'stale' },
  { outcome: 'unstored', place, fwd: 'miss', because: 'too-large' },
  { outcome: 'unstored', fwd: 'bypass', because: 'no-shard' },
];
const OUTCOMES = { hit: 2, expired: 1, stored: 1, collapsed: 1, unstored: 2 };

test('every story that a gateway can tell is counted under its outcome, layer and shard', () => {
  const tally = new StoryTally();
  for (const story of STORIES) tally.add(cacheStatus(story, 'test_users_1'));
  assert.deepEqual(Object.fromEntries(tally.outcomes), OUTCOMES);
  assert.deepEqual(Object.fromEntries(tally.places), { 'r2/0': 5, 'f1/1': 1 });
  assert.equal(tally.rows, STORIES.length);
});

test('a list counts row by row', () => {
  const tally = new StoryTally();
  tally.add(cacheStatusOfMany(STORIES));
  tally.add(cacheStatusOfMany(STORIES.slice(0, 2)));
  assert.deepEqual(Object.fromEntries(tally.outcomes), { ...OUTCOMES, hit: 4 });
  assert.equal(tally.rows, STORIES.length + 2);
});

function load(url: string, options: Partial<Load> = {}): Promise<LoadResult> {
  let key = 0;
  const nextKey = () => (key += 1);
  const fixed = {
    db: 'test',
    table: 'users',
    connections: 4,
    pipelining: 1,
    durationSeconds: 1,
    timeoutSeconds: 5,
    batch: 1,
  };
  return runLoad({ url, ...fixed, nextKey, signal: new AbortController().signal, ...options });
}

test('each request has a key of its own, also when pipelining, and all answers are counted', async () => {
  const story = cacheStatus(STORIES[0] as Story, 'test_users_1');
  const server = await scriptedServer((_request, response) => sendJson(response, { id: 1 }, { 'Cache-Status': story }));
  const result = await load(server.url, { pipelining: 3 });
  const targets = new Set(server.requests.map(({ target }) => target));
  assert.equal(targets.size, server.requests.length);
  assert.ok(targets.has('/test/users/17'));
  assert.ok(result.answers > 100);
  assert.deepEqual(result.statuses, { 200: result.answers });
  assert.equal(result.rows, result.answers);
  assert.equal(hitRatio(result), 1);
  assert.deepEqual(failuresOf(result), []);
  assert.ok(result.latencyMs.p50 > 0 && result.latencyMs.p50 <= result.latencyMs.max);
  assert.match(reportText(result), /answered by {2}layer 0 100\.00 %/);
});

test('a batch asks for so many ids', async () => {
  const server = await scriptedServer((_request, response) => sendJson(response, { rows: [] }));
  await load(server.url, { batch: 3 });
  for (const { target } of server.requests) assert.match(target, /^\/test\/users\?ids=\d+,\d+,\d+$/);
});

test('404 is an answer; 503, cut connections and silence are failures', async () => {
  const server = await scriptedServer((_request, response, index) => {
    if (index % 50 === 3) response.socket?.resetAndDestroy();
    else if (index % 50 === 7) response.socket?.end();
    else if (index % 50 === 5) sendProblem(response, 503, 'starting');
    else sendProblem(response, 404, 'row-not-found');
  });
  const failures = failuresOf(await load(server.url)).join('\n');
  assert.match(failures, /answers with status 503/);
  assert.match(failures, /socket errors: .*ECONNRESET/);
  assert.match(failures, /closed without an answer/);
  assert.doesNotMatch(failures, /404/);
});

test('a load against nothing ends soon, and has failed', async () => {
  const started = performance.now();
  const result = await load('http://127.0.0.1:1', { durationSeconds: 60 });
  assert.ok(performance.now() - started < 10_000);
  assert.match(failuresOf(result).join('\n'), /ECONNREFUSED[^]*no answer at all/);
});

test('aborted, it ends early with what it has', async () => {
  const server = await scriptedServer((_request, response) => sendJson(response, { id: 1 }));
  const result = await load(server.url, { durationSeconds: 60, signal: AbortSignal.timeout(300) });
  assert.ok(result.answers > 0 && result.durationSeconds < 5);
});

/** The gateway's reading of HTTP fields, without a server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { termsOf } from '../../gateway/http/cache-control.ts';
import { cacheStatusOfMany } from '../../gateway/http/cache-status.ts';
import { matchesAny } from '../../gateway/http/if-none-match.ts';
import { TaggedBody } from '../../shared/entry/tagged-body.ts';
import { parseTarget } from '../../gateway/http/request-target.ts';
import type { Story } from '../../gateway/journey/answer.ts';
import { ANY_TERMS } from '../../gateway/journey/row-request.ts';
import { RequestRefused } from '../../shared/errors/errors.ts';

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`http: seed ${seed}\n`);

test('Cache-Control: the directives of a request, in any case and company', () => {
  assert.deepEqual(termsOf(undefined, undefined), ANY_TERMS);
  assert.deepEqual(termsOf('', undefined), ANY_TERMS);
  assert.deepEqual(termsOf('NO-CACHE', undefined), { ...ANY_TERMS, noCache: true });
  assert.deepEqual(termsOf(' no-store ,max-age=5', undefined), { ...ANY_TERMS, noStore: true, maxAgeSeconds: 5 });
  assert.deepEqual(termsOf('only-if-cached, max-stale=9', undefined), { ...ANY_TERMS, onlyIfCached: true });
  assert.deepEqual(termsOf('max-age="7"', undefined), { ...ANY_TERMS, maxAgeSeconds: 7 });
  for (const ignored of ['max-age=abc', 'max-age=-1', 'max-age=1.5', 'max-age', 'no-cached', 'x=no-cache', ',,;=']) {
    assert.deepEqual(termsOf(ignored, undefined), ANY_TERMS, ignored);
  }
});

test('Pragma: no-cache counts where there is no Cache-Control', () => {
  assert.equal(termsOf(undefined, 'no-cache').noCache, true);
  assert.equal(termsOf(undefined, 'No-Cache').noCache, true);
  assert.equal(termsOf('max-age=1', 'no-cache').noCache, false);
  assert.equal(termsOf(undefined, 'other').noCache, false);
});

test('no field value is an error', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (one, other) => {
      termsOf(one, other);
      assert.equal(
        matchesAny(one, '"tag"'),
        one.trim() === '*' || one.split(',').some((part) => /^\s*(?:W\/)?"tag"\s*$/.test(part)),
      );
    }),
    { seed, numRuns: 2_000 },
  );
});

test('an ETag is a strong one, the same for the same bytes, another for others', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (one, other) => {
      const [a, b] = [Buffer.from(one), Buffer.from(other)];
      const tagOf = (bytes: Buffer) => new TaggedBody(bytes).etag;
      assert.match(tagOf(a), /^"[A-Za-z0-9_-]{20}"$/);
      assert.equal(tagOf(a) === tagOf(b), a.equals(b));
    }),
    { seed },
  );
});

test('a target is split where it stands, still encoded; a whole URL is one, too', () => {
  const target = parseTarget('/a/b%2Fc/1%2C2,3?ids=x%2Cy&z&=v&');
  assert.deepEqual(target.segments, ['a', 'b%2Fc', '1%2C2,3']);
  assert.deepEqual(
    [...target.parameters],
    [
      ['ids', 'x%2Cy'],
      ['z', ''],
      ['', 'v'],
    ],
  );
  for (const whole of ['http://host/a/b?c=d', 'https://host:8080/a/b?c=d', 'HTTP://u@host/a/b?c=d'])
    assert.deepEqual(parseTarget(whole), parseTarget('/a/b?c=d'));
  assert.deepEqual(parseTarget('/http://host/a').segments, ['http:', '', 'host', 'a']);
});

test('a parameter given twice is refused, however it is spelled', () => {
  for (const url of ['/a?b=1&b=2', '/a?b&b', '/a?b=1&%62=2']) {
    assert.throws(
      () => parseTarget(url),
      (error: unknown) => error instanceof RequestRefused && error.code === 'repeated-parameter',
      url,
    );
  }
});

test('any target is split or refused', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary-ascii' }), (url) => {
      try {
        parseTarget(`/${url}`);
      } catch (error) {
        assert.ok(error instanceof RequestRefused, String(error));
      }
    }),
    { seed, numRuns: 2_000 },
  );
});

test('the story of many rows counts them', () => {
  const place = { layer: 0, shard: 'r1' };
  const hit: Story = { outcome: 'hit', place, freshSeconds: 1, ageSeconds: 1 };
  const stored: Story = { outcome: 'stored', place, fwd: 'miss' };
  assert.equal(cacheStatusOfMany([hit, hit]), 'ringfill; hit; detail="hit=2"');
  assert.equal(cacheStatusOfMany([hit, stored]), 'ringfill; fwd=partial; detail="hit=1 stored=1"');
  assert.equal(cacheStatusOfMany([stored]), 'ringfill; fwd=miss; detail="stored=1"');
});

test('in a query a plus is a space, as URLSearchParams writes it; an encoded plus is a plus', () => {
  const query = new URLSearchParams({ ids: 'a b', key: 'a+b' }).toString();
  const { parameters } = parseTarget(`/db/table?${query}`);
  assert.equal(decodeURIComponent(parameters.get('ids') ?? ''), 'a b');
  assert.equal(decodeURIComponent(parameters.get('key') ?? ''), 'a+b');
});

/** What Redis holds or answers: entries, mirrored rows, stamps, leases, what an audit reads, how far a snapshot has come. */
import assert from 'node:assert/strict';
import { decodeEntry, encodeEntry, freshSeconds } from '../../../shared/entry/entry.ts';
import { decodeMirrorEntry, MIRROR_FIELD, mirrorField } from '../../../shared/entry/mirror-entry.ts';
import { intColumn } from '../../support/int-column.ts';
import type { Column } from '../../../shared/origin/column.ts';
import { RowEncoder } from '../../../shared/row/row-json.ts';
import { fillsIn, hashesIn, leasesIn, storedIn, UnfitReply } from '../../../shared/shard/replies.ts';
import { routeOfFollowed } from '../../../shared/stamp/followed.ts';
import { decodeStamp, floorOf, isComplete, isTrusted } from '../../../shared/stamp/stamp.ts';
import { includesWrite, parseWritePosition, type WritePosition } from '../../../shared/stamp/write-position.ts';
import { describeVersion, versionOf } from '../../../shared/version/version.ts';
import { heldInReply } from '../../../sync-worker/audit/held.ts';
import { highestOf, nextEpoch, nextPlan } from '../../../sync-worker/capture/continuity/plan.ts';
import { decodeProgress } from '../../../sync-worker/snapshot/snapshot-shard.ts';
import { type Target, unlessRefused } from '../target.ts';

const NOW = 1_795_000_000_000;
const VERSION = '179500000000000000010000000000013370000000000';

const entry: Target = {
  name: 'entry',
  words: ['1Rx', '1Nx', '1Ri', '1RX', VERSION, '{}', '{"', 'shape-01', 'zzzzzzzz', '}'],
  run(input) {
    const decoded = decodeEntry(input);
    if (decoded === undefined) return;
    assert.ok(encodeEntry(decoded).equals(input), 'it is written as it was read');
    assert.ok(Number.isSafeInteger(decoded.readAtMs) && Number.isSafeInteger(freshSeconds(decoded, NOW)));
  },
};

const column = (name: string, dataType: string, more: Partial<Column> = {}): Column =>
  intColumn(name, { dataType, columnType: dataType, nullable: true, ...more });
const COLUMNS = [
  column('id', 'int'),
  column('n', 'bigint'),
  column('price', 'decimal'),
  column('ratio', 'double'),
  column('name', 'varchar', { charset: 'utf8mb4' }),
  column('bytes', 'blob'),
  column('doc', 'longtext', { charset: 'utf8mb4', json: true }),
  column('__proto__', 'varchar', { charset: 'utf8mb4' }),
];
const encoder = new RowEncoder(COLUMNS);

const mirrorEntry: Target = {
  name: 'mirror-entry',
  words: [MIRROR_FIELD, '\0', mirrorField('row', VERSION, 'shape-01'), ...COLUMNS.map(({ name }) => `\0${name}\0`)],
  run(input) {
    const pairs = splitAt(input, 0);
    const decoded = decodeMirrorEntry(pairs);
    if (decoded === undefined) return;
    assert.equal(mirrorField(decoded.kind, decoded.version, decoded.shape).length, 54);
    const body = encoder.ofTexts(decoded.texts);
    if (body === undefined) return;
    const row = JSON.parse(body.toString('utf8')) as object;
    assert.deepEqual(
      Object.keys(row),
      COLUMNS.map(({ name }) => name),
    );
  },
};

const auditReply: Target = {
  name: 'audit-reply',
  words: [
    '!',
    '!ours',
    '!list',
    '\x82',
    '\xdc\0\x02',
    '\xdd\0\0\0\x02',
    '\xa4:row',
    '\xd9\x36',
    '\xda\0\x36',
    '\xdb\xff\xff\xff\xff',
  ],
  run(input) {
    unlessRefused(() => heldInReply(input), RangeError);
  },
};

const WRITES = ['mysql-bin.000042:1337', '0-1-42', '3e11fa47-71ca-11e1-9e33-c80aa9429562:23'].map(
  (text) => parseWritePosition(text) as WritePosition,
);

const stamp: Target = {
  name: 'stamp',
  words: [
    VERSION,
    '"again":1',
    '"lostAt":1',
    '"holes":[',
    '"complete":{',
    'test.users(uid) mirror x2',
    '1e999',
    '0-1-42',
  ],
  run(input) {
    const decoded = decodeStamp(input);
    if (decoded === undefined) return;
    for (const table of [...Object.keys(decoded.tables), '__proto__', 'constructor', 'test.users(uid)']) {
      routeOfFollowed(table);
      for (const ring of [...Object.keys(decoded.rings), '__proto__', 'toString']) {
        const floor = floorOf(decoded, table, ring);
        if (floor === undefined) continue;
        assert.match(floor, /^[0-9]{45}$/);
        isTrusted({ version: VERSION, exactness: 'exact' }, decoded, floor);
        isComplete(decoded, table, ring, 'shape-01', floor);
      }
    }
    for (const write of WRITES) includesWrite(decoded, write);
    // A capture counts up from it.
    const highest = highestOf([decoded]);
    assert.ok(Number.isSafeInteger(nextPlan(NOW, highest.plan)));
    describeVersion(versionOf(nextEpoch(NOW, highest.epoch), { file: 'mysql-bin.000001', position: 4 }));
  },
};

/** JSON in the place of RESP: texts are bulk strings. */
function replyOf(input: Buffer): unknown {
  try {
    return withBuffers(JSON.parse(input.toString('utf8')));
  } catch {
    return input;
  }
}

function withBuffers(value: unknown): unknown {
  if (typeof value === 'string') return Buffer.from(value);
  return Array.isArray(value) ? value.map(withBuffers) : value;
}

const reply: Target = {
  name: 'reply',
  words: ['["lease"', '["forged"', '["entry"', '["busy"]', '["off"]', '[]', 'null', '[null,', '[[null,[', VERSION],
  run(input) {
    const given = replyOf(input);
    const [lease] = unlessRefused(() => leasesIn([given], 1), UnfitReply) ?? [];
    if (lease?.kind === 'entry') decodeEntry(lease.stored);
    if (lease?.kind === 'lease' && lease.base !== undefined) assert.equal(typeof lease.base.gtid, 'string');
    for (const count of [0, 1, 2]) {
      const stored = unlessRefused(() => storedIn(given, count), UnfitReply);
      for (const one of stored ?? []) if (one !== null) decodeEntry(one);
      unlessRefused(() => leasesIn(given, count), UnfitReply);
      unlessRefused(() => fillsIn(given, count), UnfitReply);
      const hashes = unlessRefused(() => hashesIn(given, count), UnfitReply);
      for (const one of hashes?.hashes ?? []) if (one !== null) decodeMirrorEntry(one);
      if (hashes?.stamp) decodeStamp(hashes.stamp);
    }
  },
};

const KEY = [
  { column: 'a', type: { kind: 'integer', min: 0n, max: 4_294_967_295n } },
  { column: 'b', type: { kind: 'text', bytewise: true } },
] as const;

const snapshotProgress: Target = {
  name: 'snapshot-progress',
  words: ['"by":"', '"rows":', '"upTo":"1,a"', '"isAtEnd":true', '"leftOver":["1,a"]', 'null'],
  run(input) {
    const at = input.indexOf('\n');
    const chunk = Number(input.toString('latin1', 0, Math.max(0, at)));
    const { progress } = decodeProgress(KEY, chunk, input.toString('utf8', at + 1));
    assert.ok(Number.isSafeInteger(progress.chunk) && Number.isSafeInteger(progress.rows));
    assert.ok(progress.chunk >= 0 && progress.rows >= 0);
    for (const { parts } of progress.leftOver) assert.equal(parts.length, KEY.length);
  },
};

function splitAt(input: Buffer, byte: number): Buffer[] {
  const parts: Buffer[] = [];
  let start = 0;
  for (let end = input.indexOf(byte); end !== -1; end = input.indexOf(byte, start)) {
    parts.push(input.subarray(start, end));
    start = end + 1;
  }
  return [...parts, input.subarray(start)];
}

export const STORED: readonly Target[] = [entry, mirrorEntry, auditReply, stamp, reply, snapshotProgress];

/** The mirrors' part of the protocol with one part left out, as in mutations.ts. */
import type { Mutation } from './mutations.ts';
import type { Patch } from './patch.ts';
import type { Emphasis } from './schedule.ts';

const inApply = (find: string, replace: string): Patch => ({ file: 'apply.lua', find, replace });
const inMirrorLua = (find: string, replace: string): Patch => ({ file: 'mirror.lua', find, replace });
const inBegin = (find: string, replace: string): Patch => ({ file: 'snapshot-begin.lua', find, replace });
const inWrite = (find: string, replace: string): Patch => ({ file: 'snapshot-write.lua', find, replace });
const inSweep = (find: string, replace: string): Patch => ({ file: 'snapshot-sweep.lua', find, replace });
const inEnd = (find: string, replace: string): Patch => ({ file: 'snapshot-end.lua', find, replace });
const inStamp = (find: string, replace: string): Patch => ({ file: 'stamp.ts', find, replace });

const QUIET: Emphasis = { rows: 'mirrored', gateways: 1 };
const isSinceCounted = 'return mark.since >= floor &&';
const isPresentNewer = 'if present and present >= version then';

const PARTS: readonly Mutation[] = [
  {
    name: 'deletes are not noted while a snapshot runs',
    emphasis: { rows: 'mirrored', passing: 3 },
    scripts: [inApply("redis.call('HSET', deleted, entry, version)", '')],
  },
  {
    name: 'deletes since the chunk before are not looked at',
    emphasis: { rows: 'mirrored', passing: 3 },
    rare: true,
    scripts: [inWrite(" or (notedBefore and redis.call('HGET', deletedBefore, entry))", '')],
  },
  {
    name: 'a chunk that took too long is written',
    emphasis: { rows: 'mirrored', chunks: 10, passing: 3 },
    rare: true,
    scripts: [inWrite("if not noted then\n  return 'lost'\nend", "noted = noted or string.rep('0', 45)")],
  },
  {
    name: 'a snapshot writes over what is newer',
    emphasis: { rows: 'mirrored', passing: 3 },
    scripts: [inWrite('not (present and present > version) and ', '')],
  },
  {
    name: 'a snapshot’s F is not compared with S0',
    scripts: [inWrite('if string.sub(ARGV[FIRST + 2 * (index - 2)], 2, 46) < noted then', 'if false then')],
  },
  {
    name: 'a delete takes what is newer',
    emphasis: { rows: 'mirrored', locks: 4 },
    scripts: [inApply(isPresentNewer, "if op ~= 'X' and present and present >= version then")],
  },
  {
    name: 'a put takes the place of what is newer',
    scripts: [inApply(isPresentNewer, "if op == 'X' and present and present >= version then")],
  },
  { name: 'the sweep does not look since when', scripts: [inSweep('(version and version < since)', 'version')] },
  { name: 'a shard is complete by any ring', trust: [inStamp("!mark.rings.split(',').includes(ring) || ", '')] },
  {
    name: 'a shard stays complete by a ring whose rows another’s sweep removes',
    emphasis: { rows: 'mirrored', captures: 2 },
    rare: true,
    scripts: [inBegin('local kept = ringsInBoth(mark.rings, ARGV[3])', 'local kept = mark.rings')],
  },
  {
    name: 'a shard stays complete when the table’s floor rises',
    emphasis: { rows: 'mirrored', origin: 3 },
    rare: true,
    trust: [inStamp(isSinceCounted, "return mark.since >= [stamp.rings[ring] ?? '', stamp.floor].toSorted()[1]! &&")],
  },
  {
    name: 'a shard stays complete over a gap',
    emphasis: { rows: 'mirrored', queues: 3 },
    trust: [
      inStamp(
        isSinceCounted,
        "return mark.since >= [stamp.rings[ring] ?? '', stamp.tables[table] ?? ''].toSorted()[1]! &&",
      ),
    ],
  },
  {
    name: 'a shard stays complete though its ring was not followed for a while',
    emphasis: { rows: 'mirrored', captures: 5 },
    trust: [inStamp(isSinceCounted, "return mark.since >= [stamp.tables[table] ?? '', stamp.floor].toSorted()[1]! &&")],
  },
  {
    name: 'a shard stays complete over a hole',
    emphasis: { rows: 'mirrored', origin: 1 },
    rare: true,
    trust: [inStamp(' && !stamp.holes.some(([, below]) => mark.since < below)', '')],
  },
  {
    name: 'a snapshot that does not count any more goes on as if begun now',
    emphasis: { rows: 'mirrored', origin: 2 },
    scripts: [inBegin("return {'void'}", "redis.call('HSET', state, 'since', stamp.to)")],
  },
  {
    name: 'a snapshot that does not count any more is taken over',
    emphasis: { rows: 'mirrored', origin: 2 },
    scripts: [inBegin('since and countsSince(stamp, since, floor) and', 'since and')],
  },
  {
    name: 'mirrors count while changes are told again',
    emphasis: { rows: 'mirrored', captures: 4, origin: 4 },
    rare: true,
    scripts: [inApply('stamp.again = batch.now', '')],
  },
  {
    name: 'a snapshot by another ring is taken over',
    emphasis: { rows: 'mirrored', captures: 2 },
    scripts: [inBegin(" and redis.call('HGET', state, 'rings') == ARGV[3]\n   ", '\n   ')],
  },
  {
    name: 'a snapshot that was taken over goes on',
    rare: true,
    scripts: [inMirrorLua('ours[1] ~= token or ours[2] ~= turn', 'ours[2] ~= turn')],
  },
  {
    name: 'a shard that lost some of a snapshot goes on with it',
    emphasis: { rows: 'mirrored', dumps: 6 },
    rare: true,
    scripts: [inMirrorLua('ours[1] ~= token or ours[2] ~= turn', 'ours[1] ~= token')],
  },
  { name: 'the committed keys only', mistake: 'the committed keys only' },
  { name: 'the written keys only', mistake: 'the written keys only' },
  { name: 'progress past what is left over', mistake: 'progress past what is left over' },
  { name: 'what is left over is forgotten', mistake: 'what is left over is forgotten' },
  { name: 'what is locked is not there', mistake: 'what is locked is not there' },
  {
    name: 'an end ahead of the stamp',
    emphasis: { rows: 'mirrored', locks: 2 },
    rare: true,
    mistake: 'an end ahead of the stamp',
  },
  {
    name: 'the stamp before the mirrored row',
    emphasis: { rows: 'mirrored', dumps: 5, evictions: 5 },
    mistake: 'the stamp before the mirrored row',
  },
  { name: 'the mirrored row before the stamp', mistake: 'the mirrored row before the stamp' },
];

export const MIRROR_MUTATIONS: readonly Mutation[] = PARTS.map((part) => ({ emphasis: QUIET, ...part }));

const ALL_FAULTS: Emphasis = {
  rows: 'mirrored',
  captures: 1,
  queues: 1,
  evictions: 1,
  chunks: 1,
  dumps: 1,
  origin: 1,
};

const SPARE_PARTS: readonly Mutation[] = [
  // The end looks at floors itself, and those that come later lie above both.
  { name: 'since when a shard is complete: its beginning', scripts: [inEnd('since = since}', 'since = stamp.to}')] },
  // The mark that it leaves does not count; but nobody would be told.
  {
    name: 'a snapshot’s end looks at floors',
    scripts: [inEnd('if not floor or not countsSince(stamp, since, floor) then', 'if not floor then')],
  },
  // The end looks; but the snapshot would go on to it for nothing.
  {
    name: 'a snapshot’s writes look at floors',
    scripts: [
      inWrite(
        "if not floor or not countsSince(stamp, redis.call('HGET', state, 'since'), floor) then",
        'if not floor then',
      ),
    ],
  },
  // Likewise.
  { name: 'a snapshot’s chunks look at floors', scripts: [inBegin("return {'void'}", '')] },
  // What is left over lies below a floor, or its delete has come; but it takes up room.
  { name: 'a snapshot sweeps', scripts: [inSweep("redis.call('UNLINK', key)", '')] },
  // The change that made the row anew comes too.
  {
    name: 'a row that was deleted before it was read is written',
    scripts: [inWrite('deletedAt and deletedAt > version', 'deletedAt')],
  },
  // Rows from before the next chunk's S0 are refused then, and have to be read again.
  {
    name: 'what was noted since the chunk before is kept',
    scripts: [inBegin("redis.call('RENAME', deleted, deletedBefore)", "redis.call('DEL', deleted)")],
  },
  // Each note is compared by its version.
  { name: 'what an earlier run noted is dropped', scripts: [inBegin("redis.call('DEL', deleted, deletedBefore)", '')] },
  // Followed again, the table has a floor from then on.
  {
    name: 'marks of tables that are not followed are dropped',
    scripts: [inApply('if not stamp.tables[followed] then', 'if false then')],
  },
  // It includes all that the shard has heard by then; what does not fit the shard's epoch goes with a hole or a floor.
  { name: 'rows are of the server that the shard follows', mistake: 'another server’s rows' },
];
export const MIRROR_SPARE: readonly Mutation[] = SPARE_PARTS.map((part) => ({ emphasis: ALL_FAULTS, ...part }));

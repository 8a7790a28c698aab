/**
 * The protocol with one part left out. Each must turn the model red: else the model does not reach what the part is for,
 * or the part is for nothing.
 */
import type { Mistake } from './mistakes.ts';
import type { Patch } from './patch.ts';
import type { Emphasis } from './schedule.ts';

export interface Mutation {
  readonly name: string;
  /** It takes more rounds to show than each `npm test` has time for. */
  readonly rare?: true;
  readonly scripts?: readonly Patch[];
  readonly trust?: readonly Patch[];
  readonly mistake?: Mistake;
  /** The faults under which it shows soon. */
  readonly emphasis?: Emphasis;
}

const inFill = (find: string, replace: string): Patch => ({ file: 'fill.lua', find, replace });
const inApply = (find: string, replace: string): Patch => ({ file: 'apply.lua', find, replace });
const inStampLua = (find: string, replace: string): Patch => ({ file: 'stamp.lua', find, replace });

const PARTS: readonly Mutation[] = [
  { name: 'FILL does not compare with S0', scripts: [inFill('read < string.sub(lease, -45) or ', '')] },
  { name: 'FILL stores without a lease', scripts: [inFill("return 'lost'", "lease = string.rep('0', 45)")] },
  {
    name: 'leases survive changes',
    scripts: [inApply("entry .. ':lease', entry)", 'entry)'), inApply("redis.call('DEL', entry .. ':lease')", '')],
  },
  {
    name: 'leases survive changes where there is no entry',
    scripts: [inApply("redis.call('UNLINK', entry .. ':lease', entry)", "redis.call('UNLINK', entry)")],
  },
  {
    name: 'leases survive changes where there is an entry',
    scripts: [inApply("redis.call('DEL', entry .. ':lease')", '')],
  },
  {
    name: 'inexact entries are overwritten',
    emphasis: { replicas: 'alone' },

    scripts: [inApply(' and isExact', '')],
  },
  {
    name: 'changes overwrite what is newer',
    scripts: [inApply('if header and versionOf(header) < version then', 'if header then')],
  },
  {
    name: 'no plan fence',
    emphasis: { captures: 5, replicas: 'none' },
    rare: true,
    scripts: [inApply('stamp and batch.plan < stamp.plan', 'false')],
  },
  {
    name: 'rings hold since ever',
    scripts: [inApply('known[name] or stamp.to', "known[name] or string.rep('0', 45)")],
  },
  {
    name: 'a plan that came without its rings keeps the old ones',
    emphasis: { captures: 5, queues: 3, replicas: 'none' },
    rare: true,
    scripts: [inApply('batch.rings, batch.tables = {}, {}', '')],
  },
  {
    name: 'tables’ floors do not rise',
    scripts: [inApply('stamp.tables[followed] = floor\n', '\n')],
  },
  {
    name: 'tables’ floors are not looked at',
    scripts: [inStampLua('if tableFloor > floor then floor = tableFloor end', '')],
    trust: [{ file: 'stamp.ts', find: 'since > tableFloor ? since : tableFloor', replace: 'since' }],
  },
  {
    name: 'rings’ floors are not looked at',
    trust: [{ file: 'stamp.ts', find: 'since > tableFloor ? since : tableFloor', replace: 'tableFloor' }],
  },
  {
    name: 'the floor of a gap is not looked at',
    trust: [{ file: 'stamp.ts', find: 'floor > stamp.floor ? floor : stamp.floor', replace: 'floor' }],
  },
  { name: 'holes are not noted', scripts: [inApply('if batch.hole then', 'if false then')] },
  {
    name: 'holes are not looked at by gateways',
    trust: [
      {
        file: 'stamp.ts',
        find: ' && !stamp.holes.some(([above, below]) => (version > above || mayHoldMore) && version < below)',
        replace: '',
      },
    ],
  },
  {
    name: 'inexact entries below a hole are kept',
    emphasis: { origin: 3, replicas: 'alone' },

    scripts: [inStampLua("(version > hole[1] or string.lower(exactness) ~= 'x')", 'version > hole[1]')],
    trust: [{ file: 'stamp.ts', find: '(version > above || mayHoldMore)', replace: 'version > above' }],
  },
  { name: 'a gap is not noticed', scripts: [inApply('batch.from > stamp.to then', 'false then')] },
  {
    name: 'a gap leaves the floor',
    scripts: [inApply('  stamp.floor = batch.from\n  stamp.lostAt', '  stamp.lostAt')],
  },
  {
    name: 'a message that overlaps the stamp is a repeat',
    scripts: [inApply('if version > stamp.to then', 'if version > stamp.to and batch.from >= stamp.to then')],
  },
  {
    name: 'a repeat takes `to` back',
    emphasis: { captures: 4, replicas: 'none' },
    rare: true,
    scripts: [inApply('if batch.to >= stamp.to then', 'if true then')],
  },
  {
    name: 'a shard that went back is believed',
    emphasis: { dumps: 4, replicas: 'none' },

    trust: [{ file: 'stamp-reader.ts', find: 'stamp.to < highestBefore', replace: 'false' }],
  },
  { name: 'plain read as exact', mistake: 'plain read as exact' },
  { name: 'absence as exact', emphasis: { evictions: 1, replicas: 'none' }, rare: true, mistake: 'absence as exact' },
  { name: 'position after the single read', mistake: 'position after the single read' },
  { name: 'replica without waiting', mistake: 'replica without waiting' },
  { name: 'asOf not looked at', mistake: 'asOf not looked at' },
  { name: 'asOf is now', mistake: 'asOf is now' },
  {
    name: 'gtid of the transactions before the part',
    emphasis: { replicas: 'alone' },

    mistake: 'gtid of the transactions before the part',
  },
  { name: 'to past what was not published', mistake: 'to past what was not published' },
  {
    name: 'a replaced capture begins an epoch',
    emphasis: { origin: 2, captures: 4, evictions: 4, replicas: 'none' },
    rare: true,
    mistake: 'a replaced capture begins an epoch',
  },
  {
    name: 'an older epoch’s checkpoint',
    emphasis: { origin: 3, captures: 5, replicas: 'none' },

    mistake: 'an older epoch’s checkpoint',
  },
  {
    name: 'the lease’s entry unjudged',
    emphasis: { dumps: 5, evictions: 2, replicas: 'none' },
    rare: true,
    mistake: 'the lease’s entry unjudged',
  },
  { name: 'a copy as of now', mistake: 'a copy as of now' },
  {
    name: 'a copy as of the stamp',
    emphasis: { origin: 5, replicas: 'none' },
    rare: true,
    mistake: 'a copy as of the stamp',
  },
  {
    name: 'what was answered is forgotten',
    emphasis: { near: false, rereads: 5 },
    mistake: 'what was answered is forgotten',
  },
  {
    name: 'inexact answers as exact',
    emphasis: { near: false, rereads: 5, replicas: 'mixed' },
    mistake: 'inexact answers as exact',
  },
  {
    name: 'second-hand as first-hand',
    emphasis: { near: false, rereads: 5, replicas: 'mixed' },
    mistake: 'second-hand as first-hand',
  },
  {
    name: 'near: kept whatever was told meanwhile',
    emphasis: { near: true, passing: 3, replicas: 'none' },
    mistake: 'kept whatever was told meanwhile',
  },
  {
    name: 'near: confirmed before all was told',
    emphasis: { near: true, replicas: 'none' },
    mistake: 'confirmed before all was told',
  },
  {
    name: 'near: our own fill is told of later',
    emphasis: { near: true, replicas: 'none' },
    mistake: 'our own fill is told of later',
  },
  {
    name: 'near: replies do not count',
    emphasis: { near: true, replicas: 'none' },
    rare: true,
    mistake: 'replies do not count',
  },
  {
    name: 'near: another feed goes on from the one before',
    emphasis: { near: true, feeds: 5, replicas: 'none' },
    mistake: 'another feed goes on from the one before',
  },
];

/** Where there is no mirror: half of the rounds would be about that. */
const withoutMirror = (part: Mutation): Mutation => ({ ...part, emphasis: { rows: 'cached', ...part.emphasis } });

export const MUTATIONS = PARTS.map(withoutMirror);

/** Parts without which nothing goes wrong, as far as the model sees: they spare work, or are a second lock on the door. */
const SPARE_PARTS: readonly Mutation[] = [
  // Such an entry counts for nobody; but it would take the place of nothing, and be read again and again.
  { name: 'FILL does not compare with the floors', scripts: [inFill(' or read < floor', '')] },
  // Likewise.
  {
    name: 'FILL does not look at holes',
    scripts: [inFill(' or isInHole(stamp, read, string.sub(bytes, 3, 3))', '')],
  },
  // Whoever was answered with that remembers it, and believes nothing older; but would have to read it again.
  { name: 'FILL stores over what is newer', scripts: [inFill("return 'older'", '')] },
  // Rings and tables begin at the same place then.
  {
    name: 'a shard without a stamp begins without a floor',
    scripts: [inApply('floor = batch.from, asOf', "floor = string.rep('0', 45), asOf")],
  },
  // An entry that counts has heard of all that the stamp covers; but a repeat would take leases.
  {
    name: 'a repeat’s changes are made again',
    scripts: [inApply('if version > stamp.to then', 'if batch.to > stamp.to then')],
  },
  // Likewise.
  { name: 'every message’s changes are made again', scripts: [inApply('if version > stamp.to then', 'if true then')] },
  // The change’s image is whole, and right; but nobody asked for the row since.
  { name: 'untrusted entries are overwritten', scripts: [inApply(' and not isUntrusted(header, followed)', '')] },
];

export const SPARE = SPARE_PARTS.map(withoutMirror);

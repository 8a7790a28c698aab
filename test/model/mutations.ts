/**
 * The protocol with one part left out. Each must turn the model red: else the model does not reach what the part is for,
 * or the part is for nothing.
 */
import type { Mistake } from './mistakes.ts';
import type { Patch } from './patch.ts';

export interface Mutation {
  readonly name: string;
  readonly scripts?: readonly Patch[];
  readonly trust?: readonly Patch[];
  readonly mistake?: Mistake;
}

const inFill = (find: string, replace: string): Patch => ({ file: 'fill.lua', find, replace });
const inApply = (find: string, replace: string): Patch => ({ file: 'apply.lua', find, replace });
const inStampLua = (find: string, replace: string): Patch => ({ file: 'stamp.lua', find, replace });
const inLease = (find: string, replace: string): Patch => ({ file: 'lease.lua', find, replace });

export const MUTATIONS: readonly Mutation[] = [
  { name: 'FILL does not compare with S0', scripts: [inFill('read < string.sub(lease, -45) or ', '')] },
  { name: 'FILL does not compare with the floors', scripts: [inFill(' or read < floor', '')] },
  { name: 'FILL stores without a lease', scripts: [inFill("return 'lost'", "lease = string.rep('0', 45)")] },
  {
    name: 'FILL stores under anybody’s lease',
    scripts: [inFill(' or string.sub(lease, 1, -46) ~= ARGV[1]', '')],
  },
  { name: 'FILL stores over what is newer', scripts: [inFill("return 'older'", '')] },
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
  { name: 'inexact entries are overwritten', scripts: [inApply(' and isExact', '')] },
  {
    name: 'changes overwrite what is newer',
    scripts: [inApply('if header and versionOf(header) < version then', 'if header then')],
  },
  { name: 'no plan fence', scripts: [inApply('stamp and batch.plan < stamp.plan', 'false')] },
  {
    name: 'rings hold since ever',
    scripts: [inApply('known[name] or stamp.to', "known[name] or string.rep('0', 45)")],
  },
  {
    name: 'a plan that came without its rings keeps the old ones',
    scripts: [inApply('batch.rings, batch.tables = {}, {}', '')],
  },
  {
    name: 'tables’ floors do not rise',
    scripts: [inApply('stamp.tables[followed] = floor\n', '\n')],
  },
  { name: 'tables’ floors are not looked at', scripts: [inStampLua('if tableFloor > floor then floor = tableFloor end', '')], trust: [{ file: 'stamp.ts', find: 'since > tableFloor ? since : tableFloor', replace: 'since' }] },
  { name: 'rings’ floors are not looked at', trust: [{ file: 'stamp.ts', find: 'since > tableFloor ? since : tableFloor', replace: 'tableFloor' }] },
  { name: 'the floor of a gap is not looked at', trust: [{ file: 'stamp.ts', find: 'floor > stamp.floor ? floor : stamp.floor', replace: 'floor' }] },
  { name: 'holes are not noted', scripts: [inApply('if batch.hole then', 'if false then')] },
  {
    name: 'holes are not looked at by gateways',
    trust: [{ file: 'stamp.ts', find: ' && !stamp.holes.some(([above, below]) => version > above && version < below)', replace: '' }],
  },
  { name: 'FILL does not look at holes', scripts: [inFill(' or isInHole(stamp, read)', '')] },
  { name: 'a gap is not noticed', scripts: [inApply('batch.from > stamp.to then', 'false then')] },
  { name: 'a gap leaves the floor', scripts: [inApply('  stamp.floor = batch.from\nend', 'end')] },
  { name: 'a shard without a stamp begins without a floor', scripts: [inApply('floor = batch.from, asOf', "floor = string.rep('0', 45), asOf")] },
  { name: 'a message that overlaps the stamp is a repeat', scripts: [inApply('if version > stamp.to then', 'if version > stamp.to and batch.from >= stamp.to then')] },
  { name: 'a repeat’s changes are made again', scripts: [inApply('if version > stamp.to then', 'if batch.to > stamp.to then')] },
  { name: 'every message’s changes are made again', scripts: [inApply('if version > stamp.to then', 'if true then')] },
  { name: 'a repeat takes `to` back', scripts: [inApply('if batch.to >= stamp.to then', 'if true then')] },
  { name: 'a repeat takes `asOf` back', scripts: [inApply('if batch.asOf > stamp.asOf then', 'if true then')] },
  { name: 'untrusted entries are overwritten', scripts: [inApply(' and not isUntrusted(header, followed)', '')] },
  { name: 'LEASE does not compare with the floors', scripts: [inLease('versionOf(header) >= floor and ', '')] },
  {
    name: 'a shard that went back is believed',
    trust: [{ file: 'stamp-reader.ts', find: 'stamp.to < this.#highest', replace: 'false' }],
  },
  { name: 'plain read as exact', mistake: 'plain read as exact' },
  { name: 'absence as exact', mistake: 'absence as exact' },
  { name: 'position after the single read', mistake: 'position after the single read' },
  { name: 'another server’s position', mistake: 'another server’s position' },
  { name: 'replica without waiting', mistake: 'replica without waiting' },
  { name: 'asOf not looked at', mistake: 'asOf not looked at' },
  { name: 'asOf is now', mistake: 'asOf is now' },
  { name: 'gtid of the transactions before the part', mistake: 'gtid of the transactions before the part' },
  { name: 'to past what was not published', mistake: 'to past what was not published' },
  { name: 'a replaced capture begins an epoch', mistake: 'a replaced capture begins an epoch' },
  { name: 'an older epoch’s checkpoint', mistake: 'an older epoch’s checkpoint' },
  { name: 'the lease’s entry unjudged', mistake: 'the lease’s entry unjudged' },
];

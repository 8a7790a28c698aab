/**
 * A shard's replies, as what they should be. A server that speaks RESP and is no Redis, or lies, can send anything: that is
 * its trouble, and is thrown as an Error, so that it is gone round as any other.
 */
import type { LeaseBase } from '../origin/row-select.ts';

export class UnfitReply extends Error {
  constructor(command: string) {
    super(`its reply is none to ${command}`);
    this.name = 'UnfitReply';
  }
}

/** Of MGET. @param count of the keys. */
export function storedIn(reply: unknown, count: number): (Buffer | null)[] {
  if (Array.isArray(reply) && reply.length === count && reply.every(isStored)) return reply as (Buffer | null)[];
  throw new UnfitReply('MGET');
}

/** Field, value, field, value, …; empty where something else than a hash lies under the key. */
export type HashReply = readonly Buffer[];

export interface HashesAndStamp {
  /** Null where nothing lies under the key. */
  readonly hashes: (HashReply | null)[];
  readonly stamp: Buffer | null;
}

/** Of a transaction of an HGETALL a key, and of GET. @param count of the keys. */
export function hashesIn(replies: unknown, count: number): HashesAndStamp {
  if (!Array.isArray(replies) || replies.length !== count + 1) throw new UnfitReply('EXEC');
  const outcomes = replies.map(outcomeIn);
  const hashes = outcomes.slice(0, count).map((outcome) => {
    if (outcome.error !== null) return [];
    const { value } = outcome;
    if (!Array.isArray(value) || !value.every((item) => Buffer.isBuffer(item))) throw new UnfitReply('HGETALL');
    return value.length === 0 ? null : value;
  });
  const last = outcomes[count] as Outcome;
  if (last.error === null && !isStored(last.value)) throw new UnfitReply('GET');
  return { hashes, stamp: last.error === null ? (last.value as Buffer | null) : null };
}

export type LeaseReply =
  /** `overForged`: what lay there in its place was nobody's. */
  | { readonly kind: 'lease'; readonly base: LeaseBase | undefined; readonly overForged: boolean }
  | { readonly kind: 'busy' }
  | { readonly kind: 'entry'; readonly stored: Buffer }
  | { readonly kind: 'off' };

/** Of lease.lua, and of lease-unsynced.lua. @param count of the rows. */
export function leasesIn(reply: unknown, count: number): LeaseReply[] {
  if (!Array.isArray(reply) || reply.length !== count) throw new UnfitReply('the lease script');
  return reply.map(leaseIn);
}

const FILL_OUTCOMES = ['stored', 'lost', 'off', 'early', 'older'] as const;
export type FillReply = (typeof FILL_OUTCOMES)[number];

/** Of fill.lua, and of fill-unsynced.lua. @param count of the rows. */
export function fillsIn(reply: unknown, count: number): FillReply[] {
  const isOutcome = (outcome: unknown) => FILL_OUTCOMES.includes(outcome as FillReply);
  if (Array.isArray(reply) && reply.length === count && reply.every(isOutcome)) return reply as FillReply[];
  throw new UnfitReply('the fill script');
}

/** Of one row. */
function leaseIn(reply: unknown): LeaseReply {
  if (!Array.isArray(reply) || !reply.every((item) => Buffer.isBuffer(item))) throw new UnfitReply('the lease script');
  const [outcome, ...rest] = reply;
  const word = outcome?.toString('latin1');
  switch (word) {
    case 'entry': {
      const [stored] = rest;
      if (stored === undefined) break;
      return { kind: 'entry', stored };
    }
    case 'busy':
      return { kind: 'busy' };
    case 'off':
      return { kind: 'off' };
    case 'lease':
    case 'forged': {
      const overForged = word === 'forged';
      if (rest.length === 0) return { kind: 'lease', base: undefined, overForged };
      const [to, origin, gtid] = rest.map((text) => text.toString('utf8'));
      if (to === undefined || origin === undefined || gtid === undefined) break;
      return { kind: 'lease', base: { to, origin, gtid }, overForged };
    }
    default:
      break;
  }
  throw new UnfitReply('the lease script');
}

interface Outcome {
  readonly error: unknown;
  readonly value: unknown;
}

function outcomeIn(reply: unknown): Outcome {
  if (!Array.isArray(reply) || reply.length !== 2) throw new UnfitReply('EXEC');
  return { error: reply[0], value: reply[1] };
}

function isStored(value: unknown): boolean {
  return value === null || Buffer.isBuffer(value);
}

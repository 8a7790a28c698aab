/** The scripts that run on a shard, and their types. PROTOCOL.md says what they must keep; each .lua file, how. */
import { readFileSync } from 'node:fs';
import type { Redis, Result } from 'ioredis';

type Bytes = string | Buffer;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    /** These four: the number of keys, the keys, and the arguments. */
    leaseUnsyncedBuffer(...args: (number | Bytes)[]): Result<unknown, Context>;
    leaseBuffer(...args: (number | Bytes)[]): Result<unknown, Context>;
    fillUnsynced(...args: (number | Bytes)[]): Result<unknown, Context>;
    fill(...args: (number | Bytes)[]): Result<unknown, Context>;
    /** The number of keys, the keys, and the arguments. */
    applyBatch(...args: (number | Bytes)[]): Result<['applied' | 'fenced' | 'gap', ...string[]], Context>;
    snapshotBegin(
      stampKey: string,
      token: string,
      followed: string,
      ring: string,
      shape: string,
      chunkTtlMs: number,
      claim: 'take' | 'keep' | 'anew',
      turn: number,
    ): Result<['off' | 'lost' | 'void' | 'begun', ...string[]], Context>;
    /** The number of keys, the keys, and the arguments. */
    snapshotWrite(...args: (number | Bytes)[]): Result<'written' | 'lost' | 'void' | 'early', Context>;
    snapshotEnd(
      stampKey: string,
      token: string,
      followed: string,
      ring: string,
      shape: string,
      turn: number,
    ): Result<'complete' | 'lost' | 'void', Context>;
    /** The number of keys, the keys, and the arguments. */
    snapshotSweep(...args: (number | string)[]): Result<['lost'] | ['swept', number, ...string[]], Context>;
    mirrorIncomplete(stampKey: string, followed: string): Result<0 | 1, Context>;
    /** The number of keys, the keys, and the followed table. */
    mirrorElsewhere(...args: (number | string)[]): Result<number, Context>;
    /** The number of keys, the keys, and how many bytes are enough. */
    auditReadBuffer(...args: (number | string)[]): Result<Buffer[], Context>;
    /** The number of keys, and the keys. */
    auditAbove(...args: (number | string)[]): Result<string[], Context>;
    /** The number of keys, the keys, and for each what was judged. */
    auditDrop(...args: (number | string)[]): Result<(0 | 1)[], Context>;
    /** The number of keys, the keys, and the arguments. */
    auditLower(...args: (number | string)[]): Result<'off' | 'lowered', Context>;
    auditBegin(
      stampKey: string,
      token: string,
      followed: string,
      ring: string,
      ttlMs: number,
    ): Result<['off' | 'begun', ...string[]], Context>;
    /** The number of keys, the keys, and the arguments. */
    auditWrite(...args: (number | Bytes)[]): Result<['lost' | 'off' | 'done', ...string[]], Context>;
    invalidateEntry(entryKey: string, leaseKey: string, token: string, leaseTtlMs: number): Result<0 | 1, Context>;
    releaseLease(entryKey: string, leaseKey: string, token: string, drop: '0' | '1'): Result<'released', Context>;
  }
}

function source(file: string): string {
  return readFileSync(new URL(`./scripts/${file}`, import.meta.url), 'utf8');
}

const STAMP = source('stamp.lua');
const MIRROR = STAMP + source('mirror.lua');

const SCRIPTS = {
  lease: { lua: STAMP + source('lease.lua') },
  fill: { lua: STAMP + source('fill.lua') },
  // At maxmemory a plain write fails, and a change that is not applied is a stale row.
  applyBatch: { lua: `#!lua flags=allow-oom\n${MIRROR}${source('apply.lua')}` },
  snapshotBegin: { numberOfKeys: 1, lua: MIRROR + source('snapshot-begin.lua') },
  snapshotWrite: { lua: MIRROR + source('snapshot-write.lua') },
  snapshotEnd: { numberOfKeys: 1, lua: MIRROR + source('snapshot-end.lua') },
  snapshotSweep: { lua: MIRROR + source('snapshot-sweep.lua') },
  mirrorElsewhere: { lua: MIRROR + source('mirror-elsewhere.lua') },
  mirrorIncomplete: { numberOfKeys: 1, lua: MIRROR + source('mirror-incomplete.lua') },
  auditRead: { lua: STAMP + source('audit-read.lua') },
  auditAbove: { lua: MIRROR + source('audit-above.lua') },
  auditDrop: { lua: MIRROR + source('audit-drop.lua') },
  auditLower: { lua: MIRROR + source('audit-lower.lua') },
  auditBegin: { numberOfKeys: 1, lua: MIRROR + source('audit-begin.lua') },
  auditWrite: { lua: MIRROR + source('audit-write.lua') },
  leaseUnsynced: { lua: source('lease-unsynced.lua') },
  fillUnsynced: { lua: source('fill-unsynced.lua') },
  // Removing must be possible where nothing more can be written.
  invalidateEntry: { numberOfKeys: 2, lua: `#!lua flags=allow-oom\n${source('invalidate.lua')}` },
  releaseLease: { numberOfKeys: 2, lua: source('release-lease.lua') },
};

export function defineScripts(redis: Redis): void {
  for (const [name, definition] of Object.entries(SCRIPTS)) redis.defineCommand(name, definition);
}

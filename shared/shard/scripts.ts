/** The scripts that run on a shard, and their types. PROTOCOL.md says what they must keep; each .lua file, how. */
import { readFileSync } from 'node:fs';
import type { Redis, Result } from 'ioredis';

type Bytes = string | Buffer;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    leaseUnsyncedBuffer(
      entryKey: string,
      leaseKey: string,
      token: string,
      shape: string,
      nowMs: number,
      leaseTtlMs: number,
      over: 'nothing' | 'entry' | 'lease',
    ): Result<Buffer[], Context>;
    fillUnsynced(
      entryKey: string,
      leaseKey: string,
      token: string,
      entry: Bytes,
      ttlMs: number,
    ): Result<'lost' | 'stored', Context>;
    leaseBuffer(
      stampKey: string,
      entryKey: string,
      leaseKey: string,
      token: string,
      followed: string,
      ring: string,
      shape: string,
      nowMs: number,
      leaseTtlMs: number,
      over: 'nothing' | 'entry' | 'lease',
    ): Result<Buffer[], Context>;
    fill(
      stampKey: string,
      entryKey: string,
      leaseKey: string,
      token: string,
      followed: string,
      ring: string,
      version: string,
      entry: Bytes,
      ttlMs: number,
    ): Result<'lost' | 'off' | 'early' | 'older' | 'stored', Context>;
    /** The number of keys, the keys, and the arguments. */
    applyBatch(...args: (number | Bytes)[]): Result<['applied' | 'fenced' | 'gap', ...string[]], Context>;
    releaseLease(entryKey: string, leaseKey: string, token: string, drop: '0' | '1'): Result<'released', Context>;
  }
}

function source(file: string): string {
  return readFileSync(new URL(`./scripts/${file}`, import.meta.url), 'utf8');
}

const SCRIPTS = {
  lease: { numberOfKeys: 3, lua: source('stamp.lua') + source('lease.lua') },
  fill: { numberOfKeys: 3, lua: source('stamp.lua') + source('fill.lua') },
  // At maxmemory a plain write fails, and a change that is not applied is a stale row.
  applyBatch: { lua: `#!lua flags=allow-oom\n${source('stamp.lua')}${source('apply.lua')}` },
  leaseUnsynced: { numberOfKeys: 2, lua: source('lease-unsynced.lua') },
  fillUnsynced: { numberOfKeys: 2, lua: source('fill-unsynced.lua') },
  releaseLease: { numberOfKeys: 2, lua: source('release-lease.lua') },
};

export function defineScripts(redis: Redis): void {
  for (const [name, definition] of Object.entries(SCRIPTS)) redis.defineCommand(name, definition);
}

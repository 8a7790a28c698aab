/** The scripts as the shards run them, or a copy with parts patched out of it. */
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { defineScripts } from '../../shared/shard/scripts.ts';
import { type Patch, patched } from './patch.ts';

const FOLDER = new URL('../../shared/shard/scripts/', import.meta.url);

/** Patches of stamp.lua are made in every script that begins with it. */
export function definePatchedScripts(redis: Redis, patches: readonly Patch[]): void {
  const left = new Set(patches);
  defineScripts({
    defineCommand(name: string, definition: { lua: string; numberOfKeys?: number }) {
      let { lua } = definition;
      for (const file of new Set(patches.map((patch) => patch.file))) {
        const source = readFileSync(new URL(file, FOLDER), 'utf8');
        if (!lua.includes(source)) continue;
        const ours = patches.filter((patch) => patch.file === file);
        lua = lua.replace(source, () => patched(source, ours));
        for (const patch of ours) left.delete(patch);
      }
      redis.defineCommand(name, { ...definition, lua });
    },
  } as Redis);
  if (left.size > 0) throw new Error(`in no script: ${[...left].map(({ find }) => find).join(', ')}`);
}

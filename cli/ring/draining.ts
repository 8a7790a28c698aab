/** How far a shard has been taken out of its ring: by the configuration file, and by a gateway that runs. */
import type { Ring } from '../../client/index.ts';
import type { Config } from '../../shared/config/schema.ts';

export type InFile =
  | { readonly kind: 'in-use'; readonly ring: string }
  /** Former definitions alone name it, and one of them may not be dropped yet. */
  | { readonly kind: 'handing-over'; readonly ring: string; readonly until: string | undefined }
  /** The same, and all of them may. */
  | { readonly kind: 'handed-over'; readonly ring: string }
  | { readonly kind: 'unknown' };

/** - `uses` it. - `hands-over`: only a former definition names it. - `forgot`: none does. */
export type InGateway = 'uses' | 'hands-over' | 'forgot';

/** @param shard its name; no two rings have a shard of one name. */
export function inFile({ rings }: Config, shard: string, nowMs: number): InFile {
  const ring = rings.find(({ shards, former = [] }) =>
    [shards, ...former.map((one) => one.shards)].some((one) => Object.hasOwn(one, shard)),
  );
  if (ring === undefined) return { kind: 'unknown' };
  const { name, shards, former = [] } = ring;
  if (Object.hasOwn(shards, shard)) return { kind: 'in-use', ring: name };
  const naming = former.filter((one) => Object.hasOwn(one.shards, shard));
  const kept = naming.filter(({ until }) => until === undefined || Date.parse(until) > nowMs);
  if (kept.length === 0) return { kind: 'handed-over', ring: name };
  // One without an `until` is dropped by hand alone.
  const until = kept.some((one) => one.until === undefined)
    ? undefined
    : kept
        .map((one) => one.until ?? '')
        .toSorted()
        .at(-1);
  return { kind: 'handing-over', ring: name, until };
}

export function inGateway({ layers }: Ring, shard: string): InGateway {
  const found = layers.flatMap(({ shards }) => shards).find((one) => one.shard === shard);
  if (found === undefined) return 'forgot';
  return found.share > 0 ? 'uses' : 'hands-over';
}

/**
 * What a command shall do to a ring, as it is typed -> the rings with that done, or every reason against it at once.
 *
 * A ring that places keys otherwise than before keeps what it was as its newest former definition, so that gateways and
 * sync workers of the old and the new file understand each other.
 */
import { type Config, FORMER_RINGS_MAX, type FormerRingConfig, type RingConfig } from '../../shared/config/schema.ts';
import { type Problem, SetupError } from '../../shared/errors/errors.ts';
import type { Placement } from '../../shared/ring/continuum.ts';
import { ringHashOf } from '../../shared/shard/shard-layers.ts';

export type RingChange =
  | { readonly kind: 'add' | 'replace'; readonly ring: string; readonly shard: string; readonly url: string }
  | { readonly kind: 'remove'; readonly ring: string; readonly shard: string }
  | { readonly kind: 'place'; readonly ring: string; readonly placement: Placement };

/** `primary/r4=redis://cache-4:6379`. Throws SetupError; it does not quote what was typed, which may hold a password. */
export function parseShardAt(kind: 'add' | 'replace', text: string): RingChange {
  const match = /^([^/=]+)\/([^=]+)=(.+)$/s.exec(text);
  if (match === null) throw refused('write RING/NAME=URL, such as primary/r4=redis://cache-4:6379');
  const [, ring = '', shard = '', url = ''] = match;
  return { kind, ring, shard, url };
}

/** `primary/r4`. Throws SetupError. */
export function parseShard(text: string): RingChange {
  const match = /^([^/=]+)\/([^=]+)$/.exec(text);
  if (match === null) throw refused('write RING/NAME, such as primary/r4');
  const [, ring = '', shard = ''] = match;
  return { kind: 'remove', ring, shard };
}

/** `primary=ketama`. Throws SetupError. */
export function parsePlacement(text: string): RingChange {
  const match = /^([^/=]+)=(balanced|ketama)$/.exec(text);
  if (match === null) throw refused('write RING=balanced or RING=ketama');
  const [, ring = '', placement] = match;
  return { kind: 'place', ring, placement: placement as Placement };
}

/**
 * @param written the rings as they stand in the file, in the order of `config.rings`.
 * @param until when what is cached by today's definitions has expired.
 * Throws SetupError: `ring-change-refused`.
 */
export function changeRings(
  config: Config,
  written: readonly RingConfig[],
  changes: readonly RingChange[],
  until: string,
): readonly RingConfig[] {
  const problems: Problem[] = changes
    .filter(({ ring }) => !config.rings.some(({ name }) => name === ring))
    .map(({ ring }) => problemOf(`there is no ring ${ring}`, `rings are ${namesOf(config)}`));
  const rings = written.map((ring, index) => {
    const { name } = config.rings[index] as RingConfig;
    const ours = changes.filter((change) => change.ring === name);
    return ours.length === 0 ? ring : changeRing(name, ring, ours, until, problems);
  });
  refuse(problems);
  return rings;
}

function changeRing(
  name: string,
  ring: RingConfig,
  changes: readonly RingChange[],
  until: string,
  problems: Problem[],
): RingConfig {
  const shards = new Map(Object.entries(ring.shards));
  const elsewhere = new Map<string, string>();
  let { placement } = ring;
  for (const change of changes) {
    const problem = (message: string, mend?: string) => problems.push(problemOf(`ring ${name}: ${message}`, mend));
    switch (change.kind) {
      case 'add':
        if (shards.has(change.shard)) {
          problem(`${change.shard} is in it already`, `another address for it: ringfill ring replace`);
        }
        shards.set(change.shard, change.url);
        break;
      case 'remove':
        if (!shards.delete(change.shard))
          problem(`there is no shard ${change.shard}`, `its shards are ${listOf(ring)}`);
        else if (shards.size === 0) problem(`${change.shard} is its last shard, and a ring needs one`);
        break;
      case 'replace':
        if (!shards.has(change.shard)) problem(`there is no shard ${change.shard}`, `its shards are ${listOf(ring)}`);
        else if (shards.get(change.shard) === change.url) problem(`${change.shard} has that address already`);
        shards.set(change.shard, change.url);
        elsewhere.set(change.shard, change.url);
        break;
      case 'place':
        if ((placement ?? 'balanced') === change.placement) problem(`its placement is ${change.placement} already`);
        ({ placement } = change);
        break;
    }
  }
  const moved: RingConfig = { ...ring, ...(placement && { placement }), shards: Object.fromEntries(shards) };
  const former = formerOf(ring, moved, until).map((definition) => ({
    ...definition,
    shards: Object.fromEntries(
      Object.entries(definition.shards).map(([shard, endpoint]) => [shard, elsewhere.get(shard) ?? endpoint]),
    ),
  }));
  if (former.length > FORMER_RINGS_MAX) {
    problems.push(
      problemOf(
        `ring ${name}: it has ${FORMER_RINGS_MAX} former definitions already, the most that there can be`,
        `wait until one may be dropped, or drop them now: ringfill ring settle ${name} --now`,
      ),
    );
  }
  return withFormer(moved, former);
}

/** Newest first; one that the ring comes back to is no former one any more. */
function formerOf(before: RingConfig, after: RingConfig, until: string): readonly FormerRingConfig[] {
  const former = before.former ?? [];
  const hash = ringHashOf(after);
  if (ringHashOf(before) === hash) return former;
  const { shards, placement } = before;
  const newest: FormerRingConfig = { shards, ...(placement && { placement }), until };
  return [newest, ...former.filter((definition) => ringHashOf(definition) !== hash)];
}

/** Without the key where there is none. */
export function withFormer(ring: RingConfig, former: readonly FormerRingConfig[]): RingConfig {
  const { former: _, ...rest } = ring;
  return former.length === 0 ? rest : { ...rest, former: [...former] };
}

function namesOf({ rings }: Config): string {
  return rings.map(({ name }) => name).join(', ');
}

function listOf({ shards }: RingConfig): string {
  return Object.keys(shards).join(', ');
}

function problemOf(message: string, mend?: string): Problem {
  return { code: 'ring-change-refused', where: '', message, ...(mend === undefined ? {} : { mend }) };
}

export function refused(message: string, mend?: string): SetupError {
  return new SetupError([problemOf(message, mend)]);
}

function refuse([first, ...rest]: readonly Problem[]): void {
  if (first !== undefined) throw new SetupError([first, ...rest]);
}

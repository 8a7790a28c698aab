/**
 * A row that its shard lacks, found in another one: where the ring placed it before, or in the next layer. What a shard
 * vouches for is the row as of that shard's stamp, so it is as good as a read from the origin, and spares one.
 *
 *     its former owners, while the ring changes    always
 *     its copy, where the table has several        always
 *     the next layer                               for a while after the shard has lost what it held
 */
import { ShardUnavailable } from '../../shared/errors/errors.ts';
import type { Candidate } from '../../shared/ring/layers.ts';
import type { Ports } from './ports.ts';
import type { ShardPort } from './shard-port.ts';
import type { RowRequest } from './row-request.ts';
import { type Life, lifeOf, type Trust } from './trust.ts';
import { readVouched, type VouchedEntry } from './vouched.ts';

/** A fresh entry that another shard vouches for. */
export interface FoundElsewhere extends VouchedEntry {
  readonly candidate: Candidate<ShardPort>;
  readonly life: Life;
}

/** The first of those that may have the row; nothing where none does. A shard's trouble is none here. */
export async function findElsewhere(
  ports: Ports,
  request: RowRequest,
  lacking: Candidate<ShardPort>,
  trust: Trust,
): Promise<FoundElsewhere | undefined> {
  for (const candidate of placesElsewhere(ports, request, lacking, trust)) {
    if (candidate.shard.state === 'down') continue;
    try {
      const found = await lookInto(ports, request, candidate);
      if (found !== undefined) return found;
    } catch (error) {
      if (!(error instanceof ShardUnavailable)) throw error;
    }
  }
  return undefined;
}

const NOWHERE: readonly Candidate<ShardPort>[] = [];

function placesElsewhere(
  { layers, now, refillMs }: Ports,
  { place, table }: RowRequest,
  { layer, shard }: Candidate<ShardPort>,
  trust: Trust,
): readonly Candidate<ShardPort>[] {
  const owners = layers.owners(place, layer);
  const formers = owners.length === 1 ? NOWHERE : owners.filter((candidate) => candidate.shard !== shard);
  const next = layer + 1;
  if (next >= layers.depth) return formers;
  const lostAt = trust.kind === 'by-ttl' ? undefined : trust.stamp.lostAt;
  const hasLost = lostAt !== undefined && now() - lostAt < refillMs;
  return next < table.settings.copies || hasLost ? [...formers, ...layers.owners(place, next)] : formers;
}

/** Throws ShardUnavailable. */
export async function lookInto(
  ports: Ports,
  request: RowRequest,
  candidate: Candidate<ShardPort>,
): Promise<FoundElsewhere | undefined> {
  const found = await readVouched(ports, request, candidate);
  if (found === undefined) return undefined;
  const life = lifeOf(found.entry, request.table, found.trust, ports.now());
  return life.freshSeconds > 0 && life.ageSeconds <= request.terms.maxAgeSeconds
    ? { ...found, candidate, life }
    : undefined;
}

/**
 * Takes a cached row out of every shard where it may lie, so that the next request reads it from MySQL.
 *
 * One shard after the other would not do: what was taken out of the first could be copied back from the second. So each
 * one's lease is held while the entries go:
 *
 *     every shard: entry removed, lease held  ──▶  every shard: lease given back
 *
 * Until then no shard takes a copy, and no fill whose read began before; a read that begins meanwhile (`no-cache`) may take
 * the lease over, and what it stores is what MySQL says now. A lease that cannot be given back runs out.
 */
import { RequestRefused, ShardUnavailable } from '../../shared/errors/errors.ts';
import type { Candidate } from '../../shared/ring/layers.ts';
import type { Ports } from '../journey/ports.ts';
import type { ShardPort } from '../journey/shard-port.ts';
import type { RowRequest } from '../journey/row-request.ts';
import type { Invalidation, InvalidationOutcome } from '../ui/wire.ts';

/** Throws RequestRefused `table-is-mirror`: nothing would bring a mirror's row back. */
export async function invalidate(
  { layers, leaseTtlMs }: Pick<Ports, 'layers' | 'leaseTtlMs'>,
  { table, id, cacheKey }: Pick<RowRequest, 'table' | 'id' | 'cacheKey'>,
): Promise<Invalidation> {
  if (table.settings.mode === 'mirror') {
    throw new RequestRefused(
      'table-is-mirror',
      `${table.label} is a mirror: the sync worker alone writes its rows. Compare it with MySQL and mend it by ` +
        `\`ringfill audit ${table.label} --repair\`, or write it anew by \`ringfill snapshot ${table.label}\`.`,
    );
  }
  // Owners by former definitions of the rings too, and those of every layer: whichever is in use next.
  const held = await Promise.all(
    layers.candidates(cacheKey).map((candidate) => takeOut(candidate, cacheKey, leaseTtlMs)),
  );
  await Promise.all(held.map(({ giveBack }) => giveBack()));
  return { key: cacheKey, table: table.label, id: id.segment, shards: held.map(({ told }) => told) };
}

interface Held {
  readonly told: Invalidation['shards'][number];
  readonly giveBack: () => Promise<void>;
}

async function takeOut(
  { shard, layer, ring }: Candidate<ShardPort>,
  cacheKey: string,
  leaseTtlMs: number,
): Promise<Held> {
  const tell = (outcome: InvalidationOutcome, giveBack = () => Promise.resolve()): Held => ({
    told: { layer, ring, shard: shard.name, state: shard.condition, outcome },
    giveBack,
  });
  try {
    const { token, was } = await shard.invalidate(cacheKey, leaseTtlMs);
    return tell(was ? 'removed' : 'none', () => unlessAway(shard.release(cacheKey, token, 'keep')));
  } catch (error) {
    if (!(error instanceof ShardUnavailable)) throw error;
    return tell('unreached');
  }
}

async function unlessAway(release: Promise<void>): Promise<void> {
  try {
    await release;
  } catch (error) {
    if (!(error instanceof ShardUnavailable)) throw error;
  }
}

import { Command } from 'commander';
import type { Config, RingConfig } from '../../shared/config/schema.ts';
import { type Endpoint, endpointsOf } from '../../shared/shard/endpoint.ts';
import { ConfigFile } from '../ring/config-file.ts';
import { keysHeldAt } from '../ring/keys-held.ts';
import { expiredBy } from '../ring/longest-life.ts';
import { movementsJson, movementsText, type HeldByRing } from '../ring/movement-report.ts';
import { movementsOf, movementsUnderWay, type RingMovement } from '../ring/movement.ts';
import { changeRings, parsePlacement, parseShard, parseShardAt, type RingChange } from '../ring/ring-change.ts';

interface Options {
  readonly config: string;
  readonly add: readonly string[];
  readonly remove: readonly string[];
  readonly placement: readonly string[];
  readonly count?: true;
  readonly json?: true;
}

export function ringPlanCommand(): Command {
  return new Command('plan')
    .description(
      'Tell beforehand which keys a change of the rings moves; without one, what the change under way moves.',
    )
    .option('-c, --config <file>', 'the configuration file', 'ringfill.yml')
    .option('--add <ring/name=url...>', 'with this shard more', [])
    .option('--remove <ring/name...>', 'without this shard', [])
    .option('--placement <ring=placement...>', 'with this placement, balanced or ketama', [])
    .option('--count', 'also ask the shards how many keys they hold')
    .option('--json', 'as JSON, for scripts')
    .addHelpText(
      'after',
      `
Changes nothing. Shares are of the ring's hash space, and exact. Keys of a ring that do not move stay warm; the others are
taken over from the shard that had them, when they are asked for.

  ringfill ring plan --add primary/r4=redis://cache-4:6379`,
    )
    .action(async (options: Options) => {
      const file = new ConfigFile(options.config);
      const changes: readonly RingChange[] = [
        ...options.add.map((text) => parseShardAt('add', text)),
        ...options.remove.map(parseShard),
        ...options.placement.map(parsePlacement),
      ];
      const { config } = file;
      const planned = file.with(changeRings(config, file.rings, changes, expiredBy(config, Date.now())));
      const movements = changes.length === 0 ? movementsUnderWay(config) : movementsOf(config, planned.config);
      const held = options.count === true ? await keysHeld(config, movements) : new Map<string, never>();
      const text =
        options.json === true ? `${JSON.stringify(movementsJson(movements, held))}\n` : movementsText(movements, held);
      process.stdout.write(text);
    });
}

/** Of the rings that change, by the shards that have the keys. */
async function keysHeld({ rings }: Config, movements: readonly RingMovement[]): Promise<HeldByRing> {
  const asked = movements.filter(({ moves }) => moves.length > 0);
  return new Map(
    await Promise.all(
      asked.map(async ({ ring, layer, before }) => {
        const all = endpointsOf(rings[layer] as RingConfig);
        const named = before.shards.map((shard) => [shard, all.get(shard) as Endpoint] as const);
        return [ring, await keysHeldAt(new Map(named))] as const;
      }),
    ),
  );
}

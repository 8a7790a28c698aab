import { Command } from 'commander';
import { askGateway, urlOption } from '../ask-gateway.ts';
import { ringTable } from '../ring-table.ts';
import { ringAddCommand, ringRemoveCommand, ringReplaceCommand } from './ring-edit.ts';
import { ringPlanCommand } from './ring-plan.ts';
import { ringSettleCommand } from './ring-settle.ts';

/** By itself it shows; options behind one of its commands are that one's (`enablePositionalOptions`). */
export function ringCommand(): Command {
  return new Command('ring')
    .description('Show the rings of a running gateway: their shards, the shards’ states and shares. Or change them.')
    .enablePositionalOptions()
    .addCommand(ringPlanCommand())
    .addCommand(ringAddCommand())
    .addCommand(ringRemoveCommand())
    .addCommand(ringReplaceCommand())
    .addCommand(ringSettleCommand())
    .addOption(urlOption())
    .option('--json', 'as JSON, for scripts')
    .addHelpText(
      'after',
      `
Layer 0 is the primary ring; the others answer in turn for shards that are not ok. Share: of the hash space. As of: up to
when changes from the binlog have been applied to the shard; - where no sync runs.`,
    )
    .action(async ({ url, json }: { url: string; json?: true }) => {
      await askGateway(url, async (client) => {
        const ring = await client.ring();
        if (json) {
          process.stdout.write(`${JSON.stringify(ring)}\n`);
          return;
        }
        process.stdout.write(ringTable(ring.layers));
      });
    });
}

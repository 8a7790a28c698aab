import { Command } from 'commander';
import { alignedTable } from '../aligned-table.ts';
import { askGateway, urlOption } from '../ask-gateway.ts';

export function ownerCommand(): Command {
  return new Command('owner')
    .description('Show which shards a cache key belongs to: its owner in each layer.')
    .argument('<key>', 'a cache key, such as test_users_1')
    .addOption(urlOption())
    .option('--json', 'as JSON, for scripts')
    .addHelpText(
      'after',
      `
A cache key is db_table_id under the configuration's prefix; Cache-Status tells a row's key. The first shard whose state
is ok is asked.`,
    )
    .action(async (key: string, { url, json }: { url: string; json?: true }) => {
      await askGateway(url, async (client) => {
        const owner = await client.owner(key);
        if (json) {
          process.stdout.write(`${JSON.stringify(owner)}\n`);
          return;
        }
        const rows = owner.candidates.map(({ layer, ring, shard, state }) => [layer, ring, shard, state]);
        process.stdout.write(alignedTable([['layer', 'ring', 'shard', 'state'], ...rows]));
      });
    });
}

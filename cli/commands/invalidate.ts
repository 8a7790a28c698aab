import { Command } from 'commander';
import type { Invalidation } from '../../client/index.ts';
import { alignedTable } from '../aligned-table.ts';
import { askGateway, urlOption } from '../ask-gateway.ts';
import { parseRowPath, type RowPath } from '../row-path.ts';

interface Options {
  readonly url: string;
  readonly json?: true;
}

export function invalidateCommand(): Command {
  return new Command('invalidate')
    .description('Take cached rows out of every shard where they may lie; the next request reads them from MySQL.')
    .argument('<row...>', 'DB/TABLE/ID, as in its URL', parseRowPath)
    .addOption(urlOption())
    .option('--json', 'as JSON, for scripts: an array, an object a row')
    .addHelpText(
      'after',
      `
Needs a key made with \`ringfill key create --admin\`, in RINGFILL_KEY. A read of MySQL that began before is not stored
after this. A mirror's rows are refused: \`ringfill audit --repair\` compares and mends them.

The exit code is 1 where a shard could not be reached: it keeps what it has, so ask again when it is back.

  ringfill invalidate test/users/8 shop/order_items/1001,2`,
    )
    .action(async (rows: readonly RowPath[], { url, json }: Options) => {
      await askGateway(url, async (client) => {
        const done: Invalidation[] = [];
        try {
          for (const { db, table, id } of rows) done.push(await client.invalidate(db, table, id));
        } finally {
          // Those before one that was refused have been taken out.
          process.stdout.write(json === true ? `${JSON.stringify(done)}\n` : asTable(rows, done));
        }
        if (done.some(({ shards }) => shards.some(({ outcome }) => outcome === 'unreached'))) {
          process.stderr.write('A shard that was not reached keeps what it has; ask again when it is back.\n');
          process.exitCode = 1;
        }
      });
    });
}

function asTable(rows: readonly RowPath[], done: readonly Invalidation[]): string {
  if (done.length === 0) return '';
  const lines = done.flatMap(({ shards }, index) =>
    shards.map(({ layer, ring, shard, outcome }) => [rows[index]?.text ?? '', layer, ring, shard, outcome]),
  );
  return alignedTable([['row', 'layer', 'ring', 'shard', 'outcome'], ...lines]);
}

import { Command, InvalidArgumentError } from 'commander';
import { askGateway, urlOption } from '../ask-gateway.ts';

interface TableName {
  readonly db: string;
  readonly table: string;
}

export function getCommand(): Command {
  return new Command('get')
    .description('Read one row through a running gateway.')
    .argument('<db.table>', 'an exposed table', parseTableName)
    .argument('<id...>', 'the row’s key; the parts of a composite key one after another')
    .addOption(urlOption())
    .option('--no-cache', 'ask MySQL, whatever is cached')
    .addHelpText(
      'after',
      `
The row goes to stdout as JSON, how it was found (Cache-Status, RFC 9211) to stderr. The exit code is 1 where there is
no such row.

  ringfill get test.users 1
  ringfill get shop.order_items 1001 2`,
    )
    .action(async ({ db, table }: TableName, id: string[], { url, cache }: { url: string; cache: boolean }) => {
      await askGateway(url, async (client) => {
        const { row, cacheStatus } = await client.getWithStatus(db, table, id, { noCache: !cache });
        if (cacheStatus !== undefined) process.stderr.write(`Cache-Status: ${cacheStatus}\n`);
        if (row === undefined) {
          process.stderr.write(`${db}.${table} has no row ${id.join(',')}\n`);
          process.exitCode = 1;
          return;
        }
        process.stdout.write(`${JSON.stringify(row, undefined, 2)}\n`);
      });
    });
}

function parseTableName(text: string): TableName {
  const [db, table, ...more] = text.split('.');
  if (db && table && more.length === 0) return { db, table };
  throw new InvalidArgumentError('A table is named as db.table, such as test.users.');
}

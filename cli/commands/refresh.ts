import { Command } from 'commander';
import { type KeyStory, type RingfillClient, RingfillError } from '../../client/index.ts';
import { alignedTable } from '../aligned-table.ts';
import { askGateway, urlOption } from '../ask-gateway.ts';
import { parseRowPath, type RowPath } from '../row-path.ts';

interface Options {
  readonly url: string;
  readonly json?: true;
}

interface Refreshed {
  readonly row: string;
  readonly found: boolean;
  readonly cacheStatus: string | undefined;
  readonly story: KeyStory;
}

export function refreshCommand(): Command {
  return new Command('refresh')
    .description('Read rows from MySQL, whatever is cached, store them, and show what lies there then.')
    .argument('<row...>', 'DB/TABLE/ID, as in its URL', parseRowPath)
    .addOption(urlOption())
    .option('--json', 'as JSON, for scripts: an array, an object a row')
    .addHelpText(
      'after',
      `
The same as a request with \`Cache-Control: no-cache\`: it needs no more than a key that may read the table. The exit code
is 1 where a row was not stored (Cache-Status, on stderr then, says why), and where the table is a mirror: the sync worker
alone writes its rows, and \`ringfill audit --repair\` mends them.

  ringfill refresh test/users/8`,
    )
    .action(async (rows: readonly RowPath[], { url, json }: Options) => {
      await askGateway(url, async (client) => {
        const done: Refreshed[] = [];
        try {
          for (const row of rows) done.push(await refresh(client, row));
        } finally {
          // Those before one that was refused have been read.
          process.stdout.write(json === true ? `${JSON.stringify(done)}\n` : asTable(done));
        }
        for (const refreshed of done.filter((one) => !isStored(one))) {
          process.stderr.write(
            `${refreshed.row}: not stored: ${refreshed.cacheStatus ?? 'the answer does not say why'}\n`,
          );
          process.exitCode = 1;
        }
      });
    });
}

async function refresh(client: RingfillClient, { text, db, table, id }: RowPath): Promise<Refreshed> {
  const before = await client.story(db, table, id);
  if (before.mode === 'mirror') {
    const detail =
      `${before.table} is a mirror: the sync worker alone writes its rows. Compare it with MySQL and mend it by ` +
      `\`ringfill audit ${before.table} --repair\`.`;
    throw new RingfillError({ code: 'table-is-mirror', detail });
  }
  const { row, cacheStatus } = await client.getWithStatus(db, table, id, { noCache: true });
  return { row: text, found: row !== undefined, cacheStatus, story: await client.story(db, table, id) };
}

function isStored({ cacheStatus }: Refreshed): boolean {
  return cacheStatus !== undefined && /; stored(?:;|$)/.test(cacheStatus);
}

function asTable(done: readonly Refreshed[]): string {
  if (done.length === 0) return '';
  const lines = done.flatMap(({ row, found, story: { candidates } }) =>
    candidates
      .filter(({ counts }) => counts)
      .map(({ shard, version, ageSeconds, freshSeconds, agrees }) => [
        row,
        found ? 'the row' : 'no such row',
        shard,
        ageSeconds === null ? '-' : `${ageSeconds} s`,
        freshSeconds === null ? '-' : `${freshSeconds} s`,
        agrees === null ? '-' : agrees ? 'yes' : 'no',
        version ?? '-',
      ]),
  );
  return alignedTable([['row', 'stored', 'shard', 'age', 'expires in', 'as MySQL', 'version'], ...lines]);
}

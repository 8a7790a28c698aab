import { Command } from 'commander';
import type { KeyStory } from '../../client/index.ts';
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
is 1 where a row is of a mirror, which the sync worker alone writes (\`ringfill audit --repair\`), or was not stored;
Cache-Status, on stderr then, says why.

  ringfill refresh test/users/8`,
    )
    .action(async (rows: readonly RowPath[], { url, json }: Options) => {
      await askGateway(url, async (client) => {
        const done: Refreshed[] = [];
        for (const { text, db, table, id } of rows) {
          const { row, cacheStatus } = await client.getWithStatus(db, table, id, { noCache: true });
          const story = await client.story(db, table, id);
          done.push({ row: text, found: row !== undefined, cacheStatus, story });
        }
        process.stdout.write(json === true ? `${JSON.stringify(done)}\n` : asTable(done));
        for (const refreshed of done.filter((one) => !isStored(one))) {
          process.stderr.write(`${refreshed.row}: ${whyNot(refreshed)}\n`);
          process.exitCode = 1;
        }
      });
    });
}

function isStored({ cacheStatus }: Refreshed): boolean {
  return cacheStatus !== undefined && /; stored(?:;|$)/.test(cacheStatus);
}

function whyNot({ story: { mode, table }, cacheStatus }: Refreshed): string {
  if (mode === 'read-through') return `not stored: ${cacheStatus ?? 'the answer does not say why'}`;
  return `${table} is a mirror; the sync worker alone writes its rows: ringfill audit ${table} --repair`;
}

function asTable(done: readonly Refreshed[]): string {
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

import { Command } from 'commander';
import type { Status } from '../../client/index.ts';
import { alignedTable } from '../aligned-table.ts';
import { askGateway, urlOption } from '../ask-gateway.ts';
import { attentionOf } from '../attention.ts';
import { ringTable } from '../ring-table.ts';

interface Options {
  readonly url: string;
  readonly json?: true;
}

export function statusCommand(): Command {
  return new Command('status')
    .description('Show a running gateway at a glance: the rings, hits, lag and the sync worker’s backlog.')
    .addOption(urlOption())
    .option('--json', 'as JSON, for scripts; `attention` has the reasons for an exit code of 1')
    .addHelpText(
      'after',
      `
The exit code is 1 if something needs attention: the gateway is not ready, MySQL does not answer it, a shard is anything
but ok, the sync worker beside it does not follow, or no gateway answers. docs/operations.md says what to do about each.
Rows, hits and errors are of the last minute, of one process where several share the port.`,
    )
    .action(async ({ url, json }: Options) => {
      await askGateway(url, async (client) => {
        const status = await client.status();
        const attention = attentionOf(status);
        if (json === true) process.stdout.write(`${JSON.stringify({ ...status, attention })}\n`);
        else process.stdout.write(describe(url, status, attention));
        if (attention.length > 0) process.exitCode = 1;
      });
    });
}

function describe(url: string, status: Status, attention: readonly string[]): string {
  const { version, whyNotReady, isOriginUp, layers } = status;
  const lines = [
    ['gateway', `${url}, ringfill ${version}, ${whyNotReady === null ? 'ready' : 'not ready'}`],
    ['MySQL', isOriginUp ? 'answers' : 'does not answer'],
    ['rows', rowsText(status)],
    ['changes', changesText(status)],
  ];
  const told = attention.length === 0 ? 'All is well.' : attention.map((one) => `Look here: ${one}.`).join('\n');
  return `${alignedTable(lines)}\n${ringTable(layers)}\n${told}\n`;
}

function rowsText({ lately }: Status): string {
  if (lately === null) return 'not known yet';
  const { seconds, rows, errors, originReads, hitRatio } = lately;
  const hits = hitRatio === null ? 'none was asked for' : `${(100 * hitRatio).toFixed(1)} % hits`;
  const rates = `${rate(rows)} rows/s, ${hits}, ${rate(originReads)} reads of MySQL/s, ${rate(errors)} errors/s`;
  return `${rates}, over ${seconds} s`;
}

function changesText({ isSynced, worker }: Status): string {
  if (!isSynced) return 'not followed: rows live by their TTL';
  if (worker === null) return 'followed; no sync worker answers on the gateway’s host';
  const { state, lagMs, bytesBehind, changesApplied } = worker;
  return [
    `the sync worker is ${state}`,
    ...(lagMs === null ? [] : [`${Math.round(lagMs)} ms behind`]),
    ...(bytesBehind === null ? [] : [`${bytesBehind} bytes of binlog to read`]),
    ...(changesApplied === null ? [] : [`${rate(changesApplied)} changes/s`]),
  ].join(', ');
}

function rate(perSecond: number): string {
  return perSecond >= 100 ? perSecond.toFixed(0) : perSecond.toFixed(1);
}

import { Command } from 'commander';
import { loadConfig } from '../../shared/config/load.ts';
import { messageOf, OriginUnavailable, SetupError } from '../../shared/errors/errors.ts';
import type { LogPosition } from '../../shared/version/version.ts';
import { OriginSession } from '../../sync-worker/capture/continuity/capture-session.ts';
import { type Checkpoint, checkpointPath, readCheckpoint } from '../../sync-worker/capture/continuity/checkpoint.ts';
import { readBinlogEnd } from '../../sync-worker/capture/continuity/continuity-origin.ts';
import { alignedTable } from '../aligned-table.ts';

type OriginNow = { readonly identity: string; readonly end: LogPosition } | { readonly unreachable: string };

export function positionCommand(): Command {
  return new Command('position')
    .description('Show how far the sync worker has followed the binlog, and where the binlog is now.')
    .option('-c, --config <file>', 'the configuration file', 'ringfill.yml')
    .option('--json', 'as JSON, for scripts')
    .addHelpText(
      'after',
      `
Reads the checkpoint in sync.stateFolder: every change up to there is in the queues of its shards. It is written a few
times a second while the worker runs; /-/metrics of the worker has the lag itself. Ends with 1 if there is no checkpoint.`,
    )
    .action(async ({ config: path, json }: { config: string; json?: true }) => {
      const config = loadConfig(path);
      const { sync } = config;
      if (sync === undefined) {
        const message = 'there is a position only where changes are followed, and this configuration has no sync';
        throw new SetupError([{ code: 'config-invalid', where: 'sync', message }]);
      }
      const file = checkpointPath(sync.stateFolder, sync.name);
      const found = await readCheckpoint(file);
      const origin = await askOrigin(sync.originUrl ?? config.origin.url, config.origin.timeoutMs);
      const checkpoint = found.kind === 'found' ? found.checkpoint : undefined;
      if (json === true) {
        const why = found.kind === 'unreadable' ? { why: found.why } : {};
        process.stdout.write(`${JSON.stringify({ file, checkpoint: checkpoint ?? null, ...why, origin })}\n`);
      } else {
        const missing = found.kind === 'unreadable' ? `cannot be read: ${found.why}` : 'there is none yet';
        process.stdout.write(
          alignedTable([
            ['checkpoint', checkpoint === undefined ? missing : `${file}, ${ageOf(checkpoint)}`],
            ...(checkpoint === undefined ? [] : linesOf(checkpoint)),
            ['origin now', describeOrigin(origin, checkpoint)],
          ]),
        );
      }
      if (checkpoint === undefined) process.exitCode = 1;
    });
}

function linesOf({ position, restart, gtid, epoch, plan, origin }: Checkpoint): [string, string][] {
  const isSame = position.file === restart.file && position.position === restart.position;
  return [
    ['position', describe(position)],
    // An XA transaction is prepared and not committed yet.
    ...(isSame ? [] : [['reads on from', describe(restart)] as [string, string]]),
    ['gtid', gtid ?? 'not known'],
    ['epoch', `${epoch} (${new Date(epoch * 1000).toISOString()})`],
    ['plan', String(plan)],
    ['origin', origin],
  ];
}

async function askOrigin(url: string, timeoutMs: number): Promise<OriginNow> {
  let session: OriginSession | undefined;
  try {
    session = await OriginSession.open({ url, timeoutMs });
    return { identity: session.identity, end: (await readBinlogEnd(session)).position };
  } catch (error) {
    if (!(error instanceof OriginUnavailable)) throw error;
    return { unreachable: messageOf(error) };
  } finally {
    session?.destroy();
  }
}

function describeOrigin(origin: OriginNow, checkpoint: Checkpoint | undefined): string {
  if ('unreachable' in origin) return `not known: ${origin.unreachable}`;
  const end = describe(origin.end);
  if (checkpoint === undefined) return end;
  if (checkpoint.origin !== origin.identity) return `${end} of another server: ${origin.identity}`;
  const { position } = checkpoint;
  return position.file === origin.end.file ? `${end}, ${origin.end.position - position.position} bytes further` : end;
}

function ageOf({ savedAt }: Checkpoint): string {
  const seconds = Math.max(0, Math.round((Date.now() - savedAt) / 1000));
  return `written ${seconds} s ago`;
}

function describe({ file, position }: LogPosition): string {
  return `${file}:${position}`;
}

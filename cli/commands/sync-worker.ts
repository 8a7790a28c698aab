import { Command } from 'commander';
import { loadConfig } from '../../shared/config/load.ts';
import { stopSignal } from '../../shared/lifecycle/stop-signal.ts';
import { createLog } from '../../shared/telemetry/log.ts';
import { SyncWorker } from '../../sync-worker/sync-worker.ts';
import { packageVersion } from '../package-version.ts';

export function syncWorkerCommand(): Command {
  return new Command('sync-worker')
    .description('Follow the binlog, and bring each change to the shards that could hold the row.')
    .option('-c, --config <file>', 'the configuration file, the same as the gateway’s', 'ringfill.yml')
    .addHelpText(
      'after',
      `
Several may run: one of them follows the binlog, the others stand by; all of them share the shards' queues. What is away
(MySQL, RabbitMQ, a Redis) is waited for; a wrong set-up ends the command with all that is wrong.
SIGTERM or Ctrl-C: what has been read is published and written down, then it ends.`,
    )
    .action(async ({ config: path }: { config: string }) => {
      const config = loadConfig(path);
      const log = createLog(config.log.level);
      const worker = new SyncWorker({ config, version: packageVersion(), log });
      const stop = stopSignal();
      try {
        await Promise.race([worker.start().then(() => worker.ended), stop]);
        log.info({ signal: await stop }, 'stopping');
      } finally {
        await worker.stop();
      }
    });
}

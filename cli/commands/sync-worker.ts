import { Command } from 'commander';
import { loadConfigFile } from '../../shared/config/load.ts';
import { onReloadSignal } from '../../shared/lifecycle/reload-signal.ts';
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
SIGHUP: the file is read again, and it goes on by that from the checkpoint; a wrong one is refused, and said in the log.
SIGTERM or Ctrl-C: what has been read is published and written down, then it ends.`,
    )
    .action(async ({ config: path }: { config: string }) => {
      const load = () => loadConfigFile(path);
      const { config, sha256 } = load();
      const log = createLog(config.log.level);
      const worker = new SyncWorker({ config, configSha256: sha256, version: packageVersion(), log });
      const stop = stopSignal();
      onReloadSignal(() => void worker.reload(load));
      try {
        await Promise.race([worker.start().then(() => worker.ended), stop]);
        log.info({ signal: await stop }, 'stopping');
      } finally {
        await worker.stop();
      }
    });
}

import { Command } from 'commander';
import { Gateway } from '../../gateway/gateway.ts';
import { loadConfigFile } from '../../shared/config/load.ts';
import { createLog } from '../../shared/telemetry/log.ts';
import { onReloadSignal } from '../../shared/lifecycle/reload-signal.ts';
import { stopSignal } from '../../shared/lifecycle/stop-signal.ts';
import { packageVersion } from '../package-version.ts';

export function gatewayCommand(): Command {
  return new Command('gateway')
    .description('Serve the exposed tables over HTTP.')
    .option('-c, --config <file>', 'the configuration file', 'ringfill.yml')
    .addHelpText(
      'after',
      `
Listens as soon as it can, and is ready (/-/ready) once MySQL has shown the exposed tables. A Redis or a MySQL that is
away is waited for; a wrong set-up ends the command with all that is wrong. \`ringfill check\` says it beforehand.
SIGHUP: the file is read again and takes effect without a failed request; a wrong one is refused, and said in the log.
SIGTERM or Ctrl-C: readiness falls, requests under way are answered, then it ends.`,
    )
    .action(async ({ config: path }: { config: string }) => {
      const load = () => loadConfigFile(path);
      const { config, sha256 } = load();
      const log = createLog(config.log.level);
      const gateway = new Gateway({ config, configSha256: sha256, version: packageVersion(), log });
      const stop = stopSignal();
      onReloadSignal(() => void gateway.reload(load));
      try {
        await Promise.race([gateway.start(), stop]);
        log.info({ signal: await stop }, 'stopping');
      } finally {
        await gateway.stop();
      }
    });
}

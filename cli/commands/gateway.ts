import cluster from 'node:cluster';
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { Gateway } from '../../gateway/gateway.ts';
import { Processes } from '../../gateway/processes/processes.ts';
import { loadConfigFile } from '../../shared/config/load.ts';
import { createLog } from '../../shared/telemetry/log.ts';
import { onReloadSignal } from '../../shared/lifecycle/reload-signal.ts';
import { stopSignal } from '../../shared/lifecycle/stop-signal.ts';
import { packageVersion } from '../package-version.ts';
import { wholeNumber } from '../whole-number.ts';

interface Options {
  readonly config: string;
  readonly processes: number;
}

const PROCESSES_MAX = 128;

export function gatewayCommand(): Command {
  const processCount = wholeNumber(1, PROCESSES_MAX);
  return new Command('gateway')
    .description('Serve the exposed tables over HTTP.')
    .option('-c, --config <file>', 'the configuration file', 'ringfill.yml')
    .option(
      '-p, --processes <n>',
      'how many processes share the port; auto: one for each processor core',
      (text: string) => (text === 'auto' ? Math.min(availableParallelism(), PROCESSES_MAX) : processCount(text)),
      1,
    )
    .addHelpText(
      'after',
      `
Listens as soon as it can, and is ready (/-/ready) once MySQL has shown the exposed tables. A Redis or a MySQL that is
away is waited for; a wrong set-up ends the command with all that is wrong. \`ringfill check\` says it beforehand.
SIGHUP: the file is read again and takes effect without a failed request; a wrong one is refused, and said in the log.
SIGTERM or Ctrl-C: readiness falls, requests under way are answered, then it ends.

With --processes each process has connections of its own to MySQL (origin.connections) and to every Redis. /-/metrics
tells of all of them; one that ends is started again.`,
    )
    .action(async (options: Options) => {
      if (options.processes > 1 && cluster.isPrimary) await runProcesses(options);
      else await serve(options);
    });
}

async function serve({ config: path }: Options): Promise<void> {
  const load = () => loadConfigFile(path);
  const { config, sha256 } = load();
  const log = createLog(config.log.level, cluster.isWorker ? { process: cluster.worker?.id } : null);
  const gateway = new Gateway({ config, configSha256: sha256, version: packageVersion(), log });
  const stop = stopSignal();
  onReloadSignal(() => void gateway.reload(load));
  try {
    await Promise.race([gateway.start(), stop]);
    log.info({ signal: await stop }, 'stopping');
  } finally {
    await gateway.stop();
    // The line to the process that shares out the connections would keep this one.
    if (cluster.isWorker) process.disconnect();
  }
}

async function runProcesses({ config: path, processes: count }: Options): Promise<void> {
  const log = createLog(loadConfigFile(path).config.log.level);
  const processes = new Processes({ count, log });
  void stopSignal().then(() => processes.stop());
  onReloadSignal(() => processes.reload());
  process.exitCode = await processes.run();
}

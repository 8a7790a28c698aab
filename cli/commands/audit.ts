import { Command } from 'commander';
import { loadConfig } from '../../shared/config/load.ts';
import { OriginUnavailable, SetupError } from '../../shared/errors/errors.ts';
import { stopSignal } from '../../shared/lifecycle/stop-signal.ts';
import { createLog } from '../../shared/telemetry/log.ts';
import { type AuditReport, type AuditRunOptions, runAudit } from '../../sync-worker/audit/audit-run.ts';
import { auditJson, auditText, EXIT_CODES, outcomeOf } from '../audit/audit-report.ts';
import { ProgressLine } from '../audit/progress-line.ts';
import { wholeNumber } from '../whole-number.ts';

interface Options {
  readonly config: string;
  readonly repair?: true;
  readonly showRows?: true;
  readonly rate: number;
  readonly json?: true;
}

export function auditCommand(): Command {
  return new Command('audit')
    .description('Compare every key of every shard with MySQL, value for value, while everything runs.')
    .argument('[db.table...]', 'these tables only; without any, all whose changes are followed')
    .option('-c, --config <file>', 'the configuration file', 'ringfill.yml')
    .option('--repair', 'mend what is wrong, and compare it again')
    .option('--show-rows', 'show the values of columns that differ, cut; without it their names alone')
    .option('--rate <rows>', 'read at most so many rows or keys a second', wholeNumber(1, 10_000_000), 50_000)
    .option('--json', 'as JSON, for scripts')
    .addHelpText(
      'after',
      `
Nothing is said to be wrong that is only on its way: a row is judged once its shard has applied all that MySQL said of it.
docs/audit.md tells what each column means. Nothing is changed without --repair.

Ends with 0 if nothing is wrong and all could be compared, with 1 if something is wrong (and was not repaired), with 2 if
something could not be compared.`,
    )
    .action(async (tables: string[], { config: path, ...options }: Options) => {
      const config = loadConfig(path);
      const stopping = new AbortController();
      void stopSignal().then(() => stopping.abort());
      const progress = new ProgressLine(process.stderr);
      const report = await audit({
        config,
        tables,
        repair: options.repair === true,
        showRows: options.showRows === true,
        rowsPerSecondMax: options.rate,
        log: createLog('error'),
        signal: stopping.signal,
        onTable: (table) => progress.begin(table),
        onProgress: (passed, ofAbout) => progress.at(passed, ofAbout),
        onWaiting: () => progress.say('a snapshot is under way; repairing waits for its end'),
      });
      progress.clear();
      const text = options.json === true ? `${JSON.stringify(auditJson(report))}\n` : auditText(report);
      process.stdout.write(text);
      const outcome = outcomeOf(report);
      process.exitCode = EXIT_CODES[outcome === 'right' && stopping.signal.aborted ? 'partial' : outcome];
    });
}

async function audit(options: AuditRunOptions): Promise<AuditReport> {
  try {
    return await runAudit(options);
  } catch (error) {
    if (!(error instanceof OriginUnavailable)) throw error;
    throw new SetupError([{ code: error.code, where: 'origin.url', message: error.message }], { cause: error });
  }
}

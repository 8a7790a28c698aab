import { Command } from 'commander';
import { checkAll } from '../check/check.ts';
import { isGood, report } from '../check/report.ts';

export function checkCommand(): Command {
  return new Command('check')
    .description('Connect to everything that the configuration names, and say what is missing and what mends it.')
    .option('-c, --config <file>', 'the configuration file', 'ringfill.yml')
    .option('--json', 'the findings as JSON, for scripts')
    .addHelpText(
      'after',
      `
  ✔ met    ✘ not met    ! works, with a loss    i worth knowing
Ends with 0 if all that the gateway needs is there, else with 1. Reads everywhere and changes nothing, but for one short
entry in each Redis that it removes again. Never prints a password.`,
    )
    .action(async ({ config: path, json }: { config: string; json?: true }) => {
      const findings = await checkAll(path);
      const ok = isGood(findings);
      process.stdout.write(json === true ? `${JSON.stringify({ ok, findings }, undefined, 2)}\n` : report(findings));
      process.exitCode = ok ? 0 : 1;
    });
}

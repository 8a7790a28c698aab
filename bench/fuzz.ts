/**
 * What others wrote, made up by the million: `npm run fuzz`. First everything that decodes, one after another, then the
 * whole HTTP surface on a real socket, over servers of its own. Ends with a line for each; fails at the first input for which
 * something does not hold, and prints it.
 *
 * --minutes N in all, --seed N, --only NAME (one target, or `http`).
 */
import { Command } from 'commander';
import { httpSurface } from '../test/fuzz/http-surface.ts';
import { runTarget, type TargetReport } from '../test/fuzz/run-target.ts';
import { TARGETS } from '../test/fuzz/targets.ts';

interface Options {
  readonly minutes: number;
  readonly seed: number;
  readonly only?: string;
}

/** Of the time: an input there takes some hundred times as long as one of a decoder's. */
const HTTP_SHARE = 0.4;
/** An input that took longer is worth a look. */
const SLOW_MS = 50;

const { minutes, seed, only } = new Command('fuzz')
  .option('--minutes <number>', 'for all of it', Number, 15)
  .option('--seed <number>', 'to repeat a run', Number, Math.floor(Math.random() * 2 ** 31))
  .option('--only <name>', `one of ${TARGETS.map(({ name }) => name).join(', ')}, http`)
  .parse()
  .opts<Options>();

process.stdout.write(`seed ${seed}\n`);
const reports: TargetReport[] = [];
const targets = TARGETS.filter(({ name }) => only === undefined || only === name);
const decoderSeconds = (minutes * 60 * (only === undefined ? 1 - HTTP_SHARE : 1)) / Math.max(1, targets.length);
for (const target of targets) {
  tell(runTarget(target, { seed, inputsMax: Infinity, secondsMax: decoderSeconds }));
}
if (only === undefined || only === 'http') {
  const secondsMax = minutes * 60 * (only === undefined ? HTTP_SHARE : 1);
  const { report, answers } = await httpSurface({ seed, inputsMax: Infinity, secondsMax });
  tell(report);
  process.stdout.write(`${answers.map(([answer, count]) => `${answer} ${count}`).join(', ')}\n`);
}
const inputs = reports.reduce((sum, report) => sum + report.inputs, 0);
const growing = reports.filter(({ isFlat }) => !isFlat).map(({ name }) => name);
process.stdout.write(
  `${inputs.toLocaleString('en')} inputs, memory ${growing.length === 0 ? 'flat' : `grows in ${growing.join(', ')}`}\n`,
);
process.exitCode = growing.length === 0 ? 0 : 1;

function tell(report: TargetReport): void {
  reports.push(report);
  const { name, slowest, heapMebibytes } = report;
  const heap = heapMebibytes.map((mebibytes) => mebibytes.toFixed(0)).join(' ');
  process.stdout.write(
    `${name.padEnd(18)} ${report.inputs.toLocaleString('en').padStart(12)} inputs in ${report.seconds.toFixed(0)} s, ` +
      `slowest ${slowest.ms.toFixed(1)} ms (${slowest.input.length} bytes), MiB after gc: ${heap}\n`,
  );
  if (slowest.ms > SLOW_MS)
    process.stdout.write(`  ${JSON.stringify(slowest.input.toString('latin1')).slice(0, 2_000)}\n`);
}

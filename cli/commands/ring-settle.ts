import { Command } from 'commander';
import type { Config, FormerRingConfig, RingConfig } from '../../shared/config/schema.ts';
import { ConfigFile } from '../ring/config-file.ts';
import { percent } from '../ring/movement-report.ts';
import { coldShare } from '../ring/movement.ts';
import { refused, withFormer } from '../ring/ring-change.ts';
import { type SaveOptions, saveRings } from '../ring/save-rings.ts';

interface SettleOptions extends Pick<SaveOptions, 'tell'> {
  readonly config: string;
  readonly now?: true | undefined;
  readonly dryRun?: true | undefined;
}

/** Of one ring: what stays and what goes. */
interface Settling {
  readonly name: string;
  readonly ring: RingConfig;
  readonly kept: readonly FormerRingConfig[];
  readonly dropped: readonly FormerRingConfig[];
}

export function ringSettleCommand(): Command {
  return new Command('settle')
    .description('Drop former definitions of the rings from the configuration file, once nothing is left of them.')
    .argument('[ring]', 'of this ring alone')
    .option('-c, --config <file>', 'the configuration file', 'ringfill.yml')
    .option('--now', 'also those whose time has not come; what is still cached by them is then read from MySQL again')
    .option('--dry-run', 'only show what would be changed')
    .addHelpText(
      'after',
      `
A former definition may be dropped when its \`until\` has passed: what was cached by it has expired by then. Servers that
no definition names any more can be switched off after every gateway and sync worker has been reloaded.`,
    )
    .action((only: string | undefined, options: SettleOptions) => settleRings(only, options));
}

/** Throws SetupError; the file is then as it was. */
export async function settleRings(
  only: string | undefined,
  { config: path, now, dryRun, tell = (text) => process.stdout.write(text) }: SettleOptions,
): Promise<void> {
  const file = new ConfigFile(path);
  const { config } = file;
  if (only !== undefined && !config.rings.some(({ name }) => name === only)) {
    throw refused(`there is no ring ${only}`, `rings are ${config.rings.map(({ name }) => name).join(', ')}`);
  }
  const nowMs = Date.now();
  const settlings = file.rings.map((written, index): Settling => {
    const ring = config.rings[index] as RingConfig;
    const isMeant = only === undefined || only === ring.name;
    const isDue = ({ until }: FormerRingConfig) =>
      isMeant && (now === true || (until !== undefined && Date.parse(until) <= nowMs));
    // Of the file, which has the secrets' names; the endpoints place no key.
    const former = written.former ?? [];
    return {
      name: ring.name,
      ring: written,
      kept: former.filter((definition) => !isDue(definition)),
      dropped: former.filter(isDue),
    };
  });
  if (settlings.every(({ dropped }) => dropped.length === 0)) {
    tell(`Nothing to drop.\n${settlings.map(describeKept).join('')}`);
    return;
  }
  await saveRings(
    file,
    settlings.map(({ ring, kept }) => withFormer(ring, kept)),
    {
      dryRun: dryRun === true,
      tell,
      describe: () => settlings.map((settling) => describe(settling, nowMs)).join('') + aboutMirrors(config),
    },
  );
}

function describe(settling: Settling, nowMs: number): string {
  const { name, ring, kept, dropped } = settling;
  if (dropped.length === 0) return describeKept(settling);
  const early = dropped.filter(({ until }) => until === undefined || Date.parse(until) > nowMs);
  const cold = coldShare(early, [ring, ...kept]);
  const count = `${dropped.length} former ${dropped.length === 1 ? 'definition' : 'definitions'}`;
  return [
    `ring ${name}: ${count} dropped.\n`,
    ...(early.length === 0
      ? []
      : [`  before its time: up to ${percent(cold)} of its keys go cold, those that nobody has asked for since\n`]),
    describeKept(settling),
  ].join('');
}

function describeKept({ name, kept }: Settling): string {
  return kept
    .map(({ until, shards }) => {
      const when = until === undefined ? 'with --now alone, as it has no until' : `from ${until} on`;
      return `ring ${name}: the former one of ${Object.keys(shards).join(', ')} may be dropped ${when}\n`;
    })
    .join('');
}

function aboutMirrors({ tables, defaults }: Config): string {
  const hasMirror = Object.values(tables).some(({ mode }) => (mode ?? defaults.mode) === 'mirror');
  if (!hasMirror) return '';
  return 'Mirrors: reload only once ringfill_mirror_complete is 1 for all of them in the sync worker’s /-/metrics.\n';
}

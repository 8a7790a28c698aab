/**
 * Which architecture, when: sentences made of the figures of one run, each with the figures that it goes by. They say what
 * those say, and turn when those do. Figures nearer to each other than CLOSE are not told apart.
 */
import {
  ARCHITECTURE_WORDS,
  type ArchitectureFigures,
  type ArchitectureName,
  type ComparisonSettings,
  type Harmed,
  type Workload,
} from './figures.ts';
import {
  DISTURBED,
  inMebibytes,
  inMs,
  inPercent,
  inRate,
  inTimes,
  listed,
  MEBIBYTES_A_MILLION_ROWS,
} from '../harness/words.ts';

type Architectures = Readonly<Record<ArchitectureName, ArchitectureFigures>>;
type Rule = (architectures: Architectures, settings: ComparisonSettings) => string;

/** One run of some seconds does not tell less apart. */
const CLOSE = 1.25;
/** What is asked of those that are to be called fresh. ms. */
const FRESH_MS = 1_000;
/** As bench/watch/figures.ts has it. */
const HITS_FELL = 0.02;
/** Several ticks of the kernel's accounts. */
const ACCOUNTED_SECONDS_MIN = 0.05;
const CACHES = ['mirror', 'synced', 'ttl'] as const;
const FOLLOWED = ['mirror', 'synced'] as const;
const ALL = [...CACHES, 'none'] as const;

const RULES: readonly Rule[] = [freshness, origin, latency, tailAndMemory, writes, burst, coldStart, lostShard, upkeep];

/** @param figures of all four. */
export function whichWhen(settings: ComparisonSettings, figures: readonly ArchitectureFigures[]): string[] {
  const of = (name: ArchitectureName) => {
    const found = figures.find((one) => one.name === name);
    if (found === undefined) throw new Error(`${name} was not measured`);
    return found;
  };
  const architectures = { mirror: of('mirror'), synced: of('synced'), ttl: of('ttl'), none: of('none') };
  return RULES.map((rule) => rule(architectures, settings));
}

function freshness(architectures: Architectures, { ttlSeconds }: ComparisonSettings): string {
  const seen = each(ALL, (name) => {
    const { p50, p99 } = architectures[name].visibleMs;
    return `${inMs(p50)} and ${inMs(p99)}`;
  });
  const [fresh, late] = parted(ALL, (name) => architectures[name].visibleMs.p99 <= FRESH_MS);
  return (
    `Freshness. From COMMIT to the first answer with the change, median and p99: ${seen} (the TTL is ${ttlSeconds} s). ` +
    `Where an answer may not be ${inMs(FRESH_MS)} old: ${words(fresh)}${late.length === 0 ? '' : `; not ${words(late, 'or')}`}.`
  );
}

function origin(architectures: Architectures): string {
  const queries = (name: ArchitectureName) => first(architectures[name]).origin.queries;
  const { readsPerSecond, writesPerSecond } = first(architectures.none);
  const least = leastOf(CACHES, queries);
  const spared =
    queries(least) * CLOSE < queries('none')
      ? `${upper(ARCHITECTURE_WORDS[least])} spared it most: ${inTimes(queries('none'), queries(least))} fewer than without a cache.`
      : 'No cache spared it anything to speak of.';
  const sync =
    queries('ttl') > queries('synced') * CLOSE
      ? `By a TTL alone it was asked ${inTimes(queries('ttl'), queries('synced'))} as often as with sync: a TTL reads again what has not changed.`
      : queries('synced') > queries('ttl') * CLOSE
        ? `With sync, read-through asked ${inTimes(queries('synced'), queries('ttl'))} as often as by a TTL alone.`
        : 'TTL alone asked about as little as read-through with sync: here sync bought freshness, and no load.';
  return (
    `Load on MySQL. At ${inRate(readsPerSecond)} reads and ${inRate(writesPerSecond)} writes a second of rows that are cached it answered, in queries/s: ` +
    `${each(ALL, (name) => inRate(queries(name)))}. ${spared} ${sync}`
  );
}

function latency(architectures: Architectures): string {
  const highest = (name: ArchitectureName) => {
    const found = architectures[name].reads.at(-1);
    if (found === undefined) throw new Error(`${name} was read at no rate`);
    return found;
  };
  const p99 = (name: ArchitectureName) => highest(name).latencyMs.p99;
  const best = leastOf(CACHES, p99);
  const told = each(ALL, (name) => `${inMs(highest(name).latencyMs.p50)} and ${inMs(p99(name))}`);
  return (
    `Latency. At ${inRate(highest('none').readsPerSecond)} reads/s, median and p99: ${told}. ` +
    (disturbance(ALL.map((name) => [name, highest(name)] as const)) ??
      (p99('none') <= p99(best) * CLOSE
        ? `No cache was as quick as the quickest cache (${ARCHITECTURE_WORDS[best]}) or nearly so: at this rate, latency is no reason to build one.`
        : `Without a cache the p99 was ${inTimes(p99('none'), p99(best))} that of ${ARCHITECTURE_WORDS[best]}: at this rate, latency is a reason to build one.`))
  );
}

function tailAndMemory(architectures: Architectures, { rows, warmRows }: ComparisonSettings): string {
  const tail = (name: ArchitectureName) => architectures[name].tail;
  const told = each(CACHES, (name) => `${inPercent(tail(name).hitRatio)} and ${inRate(tail(name).origin.queries)}/s`);
  const bytes = (name: ArchitectureName) => Math.max(1, architectures[name].redisBytesARow ?? 0);
  const [mirrored, cached] = [bytes('mirror'), bytes('synced')];
  const memory =
    mirrored > cached
      ? `Read-through takes less memory, whatever is read: all rows cached are ${inPercent(cached / mirrored)} of the mirror.`
      : `Read-through takes less memory while under ${inPercent(mirrored / cached)} of the rows have been read; above that the mirror does.`;
  return (
    `Many rows, seldom read. Of ${rows.toLocaleString('en-US')} rows under Zipf 1.0, ${warmRows.toLocaleString('en-US')} cached at first, hits and queries to MySQL: ${told}. ` +
    `A million rows take ${inMebibytes(mirrored * MEBIBYTES_A_MILLION_ROWS)} of Redis in the mirror, and ${inMebibytes(cached * MEBIBYTES_A_MILLION_ROWS)} where read-through has cached them. ${memory}`
  );
}

/** What a change takes of the processor, against what a read spares MySQL. */
function writes(architectures: Architectures): string {
  const mysqlMicrosARead = (name: ArchitectureName) => {
    const { cpu, readsPerSecond } = first(architectures[name]);
    return (1e6 * cpu.mysql) / readsPerSecond;
  };
  const spared = (name: ArchitectureName) => mysqlMicrosARead('none') - mysqlMicrosARead(name);
  const ends = FOLLOWED.map((name) => {
    const micros = changeMicros(architectures[name]);
    const read = `${inMicros(Math.max(0, spared(name)))} spared a read`;
    if (micros === undefined)
      return `${ARCHITECTURE_WORDS[name]} too little a change to be seen in so short a time, ${read}`;
    const of = `${ARCHITECTURE_WORDS[name]} ${inMicros(micros)} a change, ${read}`;
    return spared(name) <= 0
      ? `${of}, so following changes costs more than it spares at any share of writes`
      : `${of}, so it takes more than it spares above ${writesForReads(spared(name) / micros)}`;
  });
  return (
    `Many writes. The processor time of the sync worker and RabbitMQ for a change (from the burst), and that which a read spared MySQL (against no cache, at the first rate): ` +
    `${ends.join('; ')}. What a mirror writes is also written for rows that nobody reads.`
  );
}

function burst(architectures: Architectures): string {
  const told = each(ALL, (name) => {
    const { latencyMs, oldMs } = architectures[name].burst;
    return `${inMs(first(architectures[name]).latencyMs.p99)} before and ${inMs(latencyMs.p99)} amid it, ${inMs(oldMs.max)}`;
  });
  const rise = (name: ArchitectureName) =>
    architectures[name].burst.latencyMs.p99 / first(architectures[name]).latencyMs.p99;
  const [felt, unfelt] = parted(ALL, (name) => rise(name) > 2);
  const { changes, readsPerSecond } = architectures.none.burst;
  const [fresh, late] = parted(ALL, (name) => architectures[name].burst.oldMs.max <= FRESH_MS);
  return (
    `Write bursts. ${changes.toLocaleString('en-US')} of the rows that are read were changed beside ${inRate(readsPerSecond)} reads/s; p99, and the oldest answer amid it: ${told}. ` +
    (disturbance(
      ALL.flatMap((name) => [first(architectures[name]), architectures[name].burst].map((one) => [name, one] as const)),
    ) ??
      (felt.length === 0
        ? 'Nobody’s p99 doubled.'
        : `The p99 more than doubled with ${words(felt)}${unfelt.length === 0 ? '' : ` and not with ${words(unfelt, 'or')}`}.`)) +
    ` Amid it no answer was ${inMs(FRESH_MS)} old with ${words(fresh)}${late.length === 0 ? '' : `; some were with ${words(late)}`}.`
  );
}

function coldStart(architectures: Architectures): string {
  return harmed('Cold start', 'Every Redis was emptied', 'cold', architectures);
}

function lostShard(architectures: Architectures): string {
  return harmed('A lost shard', 'One of three Redis was killed, and came back empty', 'lost', architectures);
}

function harmed(title: string, done: string, of: 'cold' | 'lost', architectures: Architectures): string {
  const seen = (name: ArchitectureName): Harmed => {
    const found = architectures[name][of];
    if (found === undefined) throw new Error(`${name} has lost nothing`);
    return found;
  };
  const told = each(CACHES, (name) => {
    const { errors, requests, errorsUntilMs, figures } = seen(name);
    const { originRowsPerSecondBefore: before, originRowsWorstSecond: worst } = figures;
    const { hitRatioBefore, hitRatioWorst, hitRatioBackMs } = figures;
    const failed =
      errors === 0
        ? 'every request answered'
        : `${errors} of ${requests.toLocaleString('en-US')} requests failed, for ${inMs(errorsUntilMs)}`;
    const times = before >= 1 ? `, ${inTimes(worst, before)} what it was` : '';
    const back =
      hitRatioWorst >= hitRatioBefore - HITS_FELL
        ? 'hits did not fall'
        : hitRatioBackMs === undefined
          ? `hits not back at ${inPercent(hitRatioBefore)} by the end`
          : `hits back at ${inPercent(hitRatioBefore)} after ${inMs(hitRatioBackMs)}`;
    return `${failed}, ${back}, ${inRate(worst)} row reads in MySQL in the worst second${times}`;
  });
  const [whole, failing] = parted(CACHES, (name) => seen(name).errors === 0);
  const worst = (name: ArchitectureName) => seen(name).figures.originRowsWorstSecond;
  const [least, most] = [leastOf(CACHES, worst), leastOf(CACHES, (name) => -worst(name))];
  return (
    `${title}. ${done}: ${told}. ` +
    (whole.length === 0
      ? 'None of them answered everything'
      : `Where every request has to be answered all the same: ${words(whole)}${failing.length === 0 ? '' : `, not ${words(failing, 'or')}`}`) +
    (worst(most) > worst(least) * CLOSE
      ? `; where MySQL must not feel it: ${ARCHITECTURE_WORDS[least]} rather than ${ARCHITECTURE_WORDS[most]}.`
      : '; MySQL felt it about as much with each.')
  );
}

function upkeep(architectures: Architectures, { ttlSeconds }: ComparisonSettings): string {
  const kept = FOLLOWED.map((name) => {
    const { cpu, writesPerSecond } = first(architectures[name]);
    const { workerMebibytes, brokerMebibytes } = architectures[name].sync ?? { workerMebibytes: 0, brokerMebibytes: 0 };
    return `for ${ARCHITECTURE_WORDS[name]}, a worker (${inMebibytes(workerMebibytes)}, ${inPercent(cpu.worker)} of a core at ${inRate(writesPerSecond)} writes/s) and RabbitMQ (${inMebibytes(brokerMebibytes)}, ${inPercent(cpu.broker)})`;
  });
  const old = (name: ArchitectureName) => first(architectures[name]).oldShare;
  const bought =
    old('ttl') > old('synced')
      ? `That buys answers that are not old: ${inPercent(old('ttl'))} of them were by a TTL of ${ttlSeconds} s alone (the oldest by ${inMs(first(architectures.ttl).oldMs.max)}), ${inPercent(old('synced'))} with sync.`
      : `In this run it bought no fresher answers: ${inPercent(old('ttl'))} were old by a TTL of ${ttlSeconds} s alone, ${inPercent(old('synced'))} with sync.`;
  return `Upkeep. ${upper(kept.join('; '))}; TTL alone and no cache need neither. ${bought}`;
}

/** What makes latencies of one run no ground for a choice. Nothing where they are one. */
function disturbance(among: readonly (readonly [ArchitectureName, Workload])[]): string | undefined {
  const [most] = among.toSorted(([, a], [, b]) => b.cpu.gatewayWaited - a.cpu.gatewayWaited);
  if (most === undefined || most[1].cpu.gatewayWaited <= DISTURBED) return undefined;
  return (
    `In this run that says more of the machine than of them: ${inPercent(most[1].cpu.gatewayWaited)} of the time the gateway of ${ARCHITECTURE_WORDS[most[0]]} wanted its core, ` +
    'and something else had it.'
  );
}

/**
 * Of the sync worker and RabbitMQ, of the burst; what they take when little changes (the long tail) is left out. Nothing where
 * that is too little for accounts in steps of 10 ms.
 */
function changeMicros({ tail, burst: high }: ArchitectureFigures): number | undefined {
  const cpu = (of: typeof high.cpu) => of.worker + of.broker;
  const tookSeconds = high.changes / Math.max(1e-9, high.writesPerSecond);
  const seconds = (cpu(high.cpu) - cpu(tail.cpu)) * tookSeconds;
  return seconds < ACCOUNTED_SECONDS_MIN ? undefined : (1e6 * seconds) / high.changes;
}

function writesForReads(ratio: number): string {
  return ratio >= 1 ? `${ratio.toFixed(1)} writes for a read` : `a write for ${(1 / ratio).toFixed(1)} reads`;
}

function first({ name, reads }: ArchitectureFigures): ArchitectureFigures['reads'][number] {
  const [found] = reads;
  if (found === undefined) throw new Error(`${name} was read at no rate`);
  return found;
}

function each(names: readonly ArchitectureName[], told: (name: ArchitectureName) => string): string {
  return names.map((name) => `${ARCHITECTURE_WORDS[name]} ${told(name)}`).join('; ');
}

function words(names: readonly ArchitectureName[], last: 'and' | 'or' = 'and'): string {
  return listed(
    names.map((name) => ARCHITECTURE_WORDS[name]),
    last,
  );
}

function leastOf<Name extends ArchitectureName>(names: readonly Name[], figure: (name: Name) => number): Name {
  return names.toSorted((a, b) => figure(a) - figure(b))[0] as Name;
}

function parted<Name>(names: readonly Name[], isSo: (name: Name) => boolean): [Name[], Name[]] {
  return [names.filter(isSo), names.filter((name) => !isSo(name))];
}

function inMicros(micros: number): string {
  return `${micros.toFixed(0)} µs`;
}

function upper(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/**
 * Reloads of the configuration, one at a time: whoever asks while one is under way interrupts it, as far as that can still
 * be, and the file is read once more. So the last file wins, however often it is asked for.
 *
 * Each ends as one of four outcomes, in the log and in the metrics; none of them ends the process.
 */
import { describeProblem, messageOf, SetupError } from '../errors/errors.ts';
import { unlessAborted } from '../lifecycle/unless-aborted.ts';
import { placeBeforehand, type RingMembers } from '../ring/continua.ts';
import type { ConfigMetrics, ReloadOutcome } from '../telemetry/config-metrics.ts';
import type { Log } from '../telemetry/log.ts';
import type { LoadedConfig } from './load.ts';
import type { Config } from './schema.ts';

/** The new configuration could not be worked by in time. */
export class NotInTime extends Error {
  constructor(why: string, timeoutMs: number) {
    super(`not ready within ${timeoutMs} ms: ${why}`);
    this.name = 'NotInTime';
  }
}

/** What is left to be done once the new one is in use; the next reload waits for it. */
export type Afterwards = () => Promise<void>;

export interface ConfigReloadsOptions {
  /**
   * Puts the new configuration in the old one's place, or leaves the old one as it was and throws: SetupError, NotInTime,
   * or the signal's reason.
   */
  readonly adopt: (loaded: LoadedConfig, signal: AbortSignal) => Promise<Afterwards>;
  readonly metrics: ConfigMetrics;
  readonly log: Log;
}

export class ConfigReloads {
  readonly #options: ConfigReloadsOptions;
  /** The last one that was begun, to its very end. */
  #begun: Promise<void> = Promise.resolve();
  #next: Promise<ReloadOutcome> | undefined;
  #load: (() => LoadedConfig) | undefined;
  #interrupt = new AbortController();
  #stopped = false;

  constructor(options: ConfigReloadsOptions) {
    this.#options = options;
  }

  /**
   * @param load reads and checks the file. Throws SetupError.
   * @returns how the next reload ends, which may have been asked for by others too.
   */
  ask(load: () => LoadedConfig): Promise<ReloadOutcome> {
    this.#load = load;
    this.#interrupt.abort();
    this.#next ??= this.#begun.then(() => this.#begin());
    return this.#next;
  }

  /** No more are begun; one under way is interrupted, as far as that can still be. Settles when it has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#interrupt.abort();
    await this.#begun;
  }

  #begin(): Promise<ReloadOutcome> {
    this.#next = undefined;
    const load = this.#load;
    if (this.#stopped || load === undefined) return Promise.resolve('superseded');
    const interrupt = new AbortController();
    this.#interrupt = interrupt;
    const adopting = this.#adopt(load, interrupt.signal);
    this.#begun = adopting.then(({ afterwards }) => afterwards?.());
    return adopting.then(({ outcome }) => outcome);
  }

  async #adopt(
    load: () => LoadedConfig,
    signal: AbortSignal,
  ): Promise<{ readonly outcome: ReloadOutcome; readonly afterwards?: Afterwards }> {
    const { adopt, metrics, log } = this.#options;
    try {
      const loaded = load();
      const { sha256 } = loaded;
      log.info({ sha256 }, 'configuration read again');
      await unlessAborted(placeBeforehand(ringsIn(loaded.config)), signal);
      const afterwards = await adopt(loaded, signal);
      log.info({ sha256 }, 'configuration loaded');
      metrics.inUse(sha256);
      metrics.reloaded('loaded');
      return { outcome: 'loaded', afterwards };
    } catch (error) {
      const outcome = outcomeOf(error, signal);
      this.#tell(error, outcome);
      metrics.reloaded(outcome);
      return { outcome };
    }
  }

  #tell(error: unknown, outcome: Exclude<ReloadOutcome, 'loaded'>): void {
    const { log } = this.#options;
    switch (outcome) {
      case 'refused':
        if (error instanceof SetupError) {
          const problems = error.problems.map(describeProblem);
          log.error({ code: error.code, problems }, 'configuration refused; the one before stays in use');
        } else {
          log.error({ code: 'internal', err: error }, 'configuration refused; the one before stays in use');
        }
        break;
      case 'given-up':
        log.error({ reason: messageOf(error) }, 'configuration given up; the one before stays in use');
        break;
      case 'superseded':
        log.info('configuration superseded by another reload');
        break;
    }
  }
}

/** With what they were before. */
function ringsIn({ rings }: Config): RingMembers[] {
  return rings
    .flatMap((ring) => [ring, ...(ring.former ?? [])])
    .map(({ shards, placement }) => ({ shards: Object.keys(shards), placement: placement ?? 'balanced' }));
}

function outcomeOf(error: unknown, signal: AbortSignal): Exclude<ReloadOutcome, 'loaded'> {
  if (error instanceof SetupError) return 'refused';
  if (signal.aborted) return 'superseded';
  return error instanceof NotInTime ? 'given-up' : 'refused';
}

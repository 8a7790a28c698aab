/**
 * What the sync worker on this host says of itself. The gateway does not talk to RabbitMQ, and needs no sync worker beside
 * it: what is not known is not told.
 */
import type { Config } from '../../shared/config/schema.ts';
import type { WorkerNow } from '../ui/wire.ts';

const ANSWER_WITHIN_MS = 500;

/** Of `/-/status`, as far as it is needed; another program may answer at that port. */
interface WorkerStatus {
  readonly capture?: { readonly state?: unknown; readonly lagMs?: unknown; readonly bytesBehind?: unknown } | null;
  readonly shards?: readonly { readonly changes?: unknown }[];
}

export class WorkerView {
  #before: { readonly at: number; readonly changes: number } | undefined;

  /** Null without sync, or where no sync worker answers. Never rejects. */
  async look(config: Config): Promise<WorkerNow | null> {
    const url = statusUrl(config);
    if (url === undefined) return null;
    try {
      const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS), redirect: 'error' });
      const { capture, shards } = (await answer.json()) as WorkerStatus;
      if (capture === undefined || capture === null || !Array.isArray(shards)) return null;
      const changes = shards.reduce((sum: number, shard) => sum + (number(shard.changes) ?? 0), 0);
      return {
        state: String(capture.state),
        lagMs: number(capture.lagMs),
        bytesBehind: number(capture.bytesBehind),
        changesApplied: this.#rate(changes),
      };
    } catch {
      return null;
    }
  }

  #rate(changes: number): number | null {
    const [before, at] = [this.#before, performance.now()];
    this.#before = { at, changes };
    // It counts anew when it is started again.
    if (before === undefined || changes < before.changes) return null;
    return (changes - before.changes) / ((at - before.at) / 1_000);
  }
}

function statusUrl({ http: { host }, sync }: Config): string | undefined {
  if (sync === undefined || sync.port === 0) return undefined;
  return `http://${EVERY_ADDRESS[host] ?? (host.includes(':') ? `[${host}]` : host)}:${sync.port}/-/status`;
}

/** Whoever listens on every address listens here. */
const EVERY_ADDRESS: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '[::1]' };

function number(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

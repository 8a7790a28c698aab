/** How long to wait before a request is tried again. */
import type { RetryOptions } from './options.ts';

/**
 * Milliseconds. Without the gateway's word: doubling from `firstWaitMs` to `waitMsMax`, anywhere in the upper half of
 * the step. With it: never less than it says, and up to half as much again, so that all who were refused at once do not
 * come back at once.
 */
export function retryWaitMs(retry: Required<RetryOptions>, attempt: number, toldSeconds: number | undefined): number {
  const step = Math.min(retry.waitMsMax, retry.firstWaitMs * 2 ** (attempt - 1));
  const random = retry.random();
  if (toldSeconds === undefined) return step * (0.5 + random / 2);
  return Math.max(step * (0.5 + random / 2), toldSeconds * 1000 * (1 + random / 2));
}

/** `Retry-After` is a number of seconds or a date (RFC 9110, section 10.2.3); undefined if absent or neither. */
export function retryAfterSeconds(header: string | string[] | undefined, nowMs: number): number | undefined {
  if (typeof header !== 'string') return undefined;
  const text = header.trim();
  if (/^[0-9]+$/.test(text)) return Number(text);
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, (dateMs - nowMs) / 1000);
}

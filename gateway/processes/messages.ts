/** What the processes of one gateway command say to each other. */
export type FromProcess =
  /** Rows can be read through it. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'metrics-wanted'; readonly id: string }
  /** Its own, as prom-client's getMetricsAsJSON tells them. */
  | { readonly kind: 'metrics'; readonly id: string; readonly values: unknown };

export type ToProcess =
  | { readonly kind: 'metrics-asked'; readonly id: string }
  | { readonly kind: 'metrics-of-all'; readonly id: string; readonly values: readonly unknown[] };

/** In a process' environment, where it is to listen only once rows can be read through it. */
export const LISTEN_WHEN_READY = 'RINGFILL_LISTEN_WHEN_READY';

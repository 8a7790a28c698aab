/** `ringfill/client`: rows through a ringfill gateway, for applications. */
export { RingfillClient } from './client.ts';
export { RingfillError, type ClientCode, type GatewayCode, type RingfillErrorCode } from './errors.ts';
export type { ClientOptions, EtagOptions, ReadOptions, RetryOptions } from './options.ts';
export type { HeldStory, Invalidation, KeyStory, Status } from './operations.ts';
export type { Candidate, Owner, Ring, RingLayer, RingShard } from './ring.ts';
export type { Id, IdPart } from './row-id.ts';
export type { RowAnswer, RowObject } from './row-reader.ts';

/** What most drills have in common. */
import type { LoadShape } from '../../watch/load.ts';
import type { WorldShape } from './world.ts';

/** Where nobody hears of changes, the origin is asked: then no answer may be old, whatever happens. */
export const THREE_AND_TWO: WorldShape = { primary: 3, fallback: 2, gateways: 1, onSyncLost: 'origin' };

/** At a rate that two busy cores keep up with, servers, processes and load together. */
export const OPEN_LOOP: LoadShape = { kind: 'open', perSecond: 1_000 };
/** As fast as the gateways answer so many. */
export const CLOSED_LOOP: LoadShape = { kind: 'closed', connections: 6 };

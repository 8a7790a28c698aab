/** What a drill is: what is done to which world, and what must hold, declared before it runs. */
import type { LoadShape } from '../../watch/load.ts';
import type { Seen } from '../../watch/watch.ts';
import type { World, WorldShape } from './world.ts';

export interface Drill {
  readonly name: string;
  /** A condition, in a few words. */
  readonly title: string;
  /** What is done, for the report. */
  readonly done: string;
  readonly world: WorldShape;
  readonly load: LoadShape;
  /** The share of requests that go to rows which were not cached; none if it is missing. */
  readonly coldShare?: number;
  /** How long the quiet beginning is, in seconds; 3 if it is missing. */
  readonly quietSeconds?: number;
  /** How long it is loaded after the quiet beginning, unless the command says otherwise. */
  readonly seconds: number;
  readonly claims: readonly Claim[];
  /** Does it, and mends it again. */
  readonly run: (stage: Stage) => Promise<void>;
}

export interface Claim {
  /** What must hold. */
  readonly words: string;
  /** Missed, it is told, and the drill passes all the same. */
  readonly isAim?: boolean;
  readonly judge: (outcome: DrillOutcome) => Verdict;
}

export interface Verdict {
  readonly holds: boolean;
  /** The figure, in words. */
  readonly seen: string;
}

export interface DrillOutcome {
  readonly seen: Seen;
  /** After the load had ended. */
  readonly afterwards: {
    /** Nothing where every gateway believed every shard within the time; else what they thought. */
    readonly doubts: string | undefined;
    readonly believedAfterMs: number;
    /** Rows that a gateway answered otherwise than MySQL. */
    readonly wrong: readonly string[];
  };
}

export interface Stage {
  readonly world: World;
  /** Of the loaded time. */
  readonly seconds: number;
  /** Settles when this share of the loaded time is over, at once if it is already. */
  readonly until: (share: number) => Promise<void>;
  readonly wait: (milliseconds: number) => Promise<void>;
  /** In the timeline. */
  readonly mark: (words: string) => void;
  /** The harm; the figures count from the first. */
  readonly harmed: (words: string, hit?: Hit) => void;
}

export interface Hit {
  /** Those that gateways should stop using, by name. */
  readonly shards: readonly string[];
  /** The gateways that should; all of them if it is missing. */
  readonly gateways?: readonly string[];
}

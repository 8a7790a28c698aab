/**
 * What a section of the bench is: measurements in a world of their own, and what they amount to. A new one is a file in
 * bench/sections and a line in all-sections.ts.
 */
import type { BenchWorld } from './bench-world.ts';
import type { RatioKey } from './goals.ts';

/** full: for figures that others are shown. quick: in minutes. tiny: whether it works, in seconds. */
export type ScaleName = 'full' | 'quick' | 'tiny';

export interface Section {
  readonly name: string;
  readonly title: string;
  /** What is measured, and how, for the report; a paragraph. */
  readonly about: string;
  run(world: BenchWorld, scale: ScaleName): Promise<SectionResult>;
}

export interface SectionResult {
  readonly ratios: readonly MeasuredRatio[];
  readonly blocks: readonly Block[];
  /** What was left out and why, and what else is to be known. */
  readonly notes: readonly string[];
  /** Answers that were not right, and other reasons not to believe the figures. */
  readonly wrong: readonly string[];
  /** Every figure of every round. */
  readonly figures: Readonly<Record<string, unknown>>;
}

/** One ratio a round: both of its sides were measured within that round. */
export interface MeasuredRatio {
  readonly key: RatioKey;
  readonly rounds: readonly number[];
}

/** A part of the report, in its order. */
export type Block =
  | { readonly kind: 'table'; readonly table: FigureTable }
  | { readonly kind: 'bars'; readonly chart: BarChart }
  | { readonly kind: 'lines'; readonly chart: LineChart }
  | { readonly kind: 'text'; readonly caption: string; readonly text: string }
  | { readonly kind: 'sentences'; readonly caption: string; readonly sentences: readonly string[] };

export interface FigureTable {
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

export interface BarChart {
  readonly title: string;
  readonly unit: string;
  readonly groups: readonly {
    readonly name: string;
    /** One a series; nothing where it was not measured. */
    readonly bars: readonly (Bar | undefined)[];
  }[];
  readonly series: readonly string[];
}

/** The median, and the least and the most of all rounds. */
export interface Bar {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface LineChart {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  /** The x axis goes up by factors; every x is above 0. */
  readonly isLogarithmic?: boolean;
  readonly lines: readonly { readonly name: string; readonly points: readonly (readonly [x: number, y: number])[] }[];
}

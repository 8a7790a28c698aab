/** The findings as an operator reads them: one aligned line each, why and how to mend it indented below. */
import type { Finding, Verdict } from './finding.ts';

const MARKS: Readonly<Record<Verdict, string>> = { met: '✔', unmet: '✘', warning: '!', note: 'i' };

/** Longer names would push every other line's text to the right. */
const REQUIREMENT_WIDTH_MAX = 28;

export function report(findings: readonly Finding[]): string {
  const lines: string[] = [];
  for (const [group, members] of Map.groupBy(findings, (finding) => finding.group)) {
    const width = Math.min(REQUIREMENT_WIDTH_MAX, Math.max(...members.map(({ requirement }) => requirement.length)));
    lines.push('', group);
    for (const finding of members) {
      const needed =
        finding.neededFor === undefined || finding.verdict === 'met' ? '' : ` (needed for ${finding.neededFor})`;
      lines.push(`  ${MARKS[finding.verdict]} ${finding.requirement.padEnd(width)}  ${finding.found}${needed}`);
      if (finding.why !== undefined) lines.push(`      why   ${finding.why}`);
      for (const [index, line] of (finding.mend ?? []).entries())
        lines.push(`      ${index === 0 ? 'mend' : '    '}  ${line}`);
    }
  }
  lines.push('', summary(findings), '');
  return lines.slice(1).join('\n');
}

function summary(findings: readonly Finding[]): string {
  const count = (verdict: Verdict) => findings.filter((finding) => finding.verdict === verdict).length;
  const [unmet, warnings] = [count('unmet'), count('warning')];
  const warned = warnings === 0 ? '' : `; ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`;
  return unmet === 0 ? `Everything that the gateway needs is there${warned}.` : `${unmet} not met${warned}.`;
}

export function isGood(findings: readonly Finding[]): boolean {
  return findings.every(({ verdict }) => verdict !== 'unmet');
}

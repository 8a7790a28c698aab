/** Every metric and label that the alerts and the dashboard name is told by a process, and every alert has its page. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { type Registry, Registry as MetricRegistry } from 'prom-client';
import { parse } from 'yaml';
import { OneOfMany } from '../../gateway/processes/one-of-many.ts';
import { GatewayTelemetry } from '../../gateway/telemetry.ts';
import { createLog } from '../../shared/telemetry/log.ts';
import { AuditMetrics } from '../../sync-worker/audit/audit-metrics.ts';
import { SyncWorkerTelemetry } from '../../sync-worker/telemetry.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string };
}

const { groups } = parse(read('deploy/prometheus/ringfill.rules.yml')) as { groups: { rules: Alert[] }[] };
const alerts = groups.flatMap(({ rules }) => rules);
const dashboard = JSON.parse(read('deploy/grafana/ringfill.json')) as {
  panels: { title: string; targets?: { expr: string }[] }[];
};
const expressions = [
  ...alerts.map(({ alert, expr }) => ({ where: alert, expr })),
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ where: title, expr }))),
];

/** By metric, what its labels are. */
function told(): Map<string, ReadonlySet<string>> {
  const worker = new SyncWorkerTelemetry({ capture: () => undefined, shards: () => [] });
  const audit = new MetricRegistry();
  void new AuditMetrics(audit);
  const processes = new MetricRegistry();
  OneOfMany.measure(processes);
  const registries: Registry[] = [
    new GatewayTelemetry(createLog('error'), () => 0).registry,
    worker.registry,
    audit,
    processes,
  ];
  const metrics = registries.flatMap((registry) => registry.getMetricsAsArray());
  return new Map(
    metrics.map((metric) => {
      const { name, labelNames = [] } = metric as unknown as { name: string; labelNames?: readonly string[] };
      return [name, new Set(labelNames)];
    }),
  );
}

/** Prometheus adds these itself, or a histogram does. */
const EVERYWHERE = ['instance', 'job', 'le'];
const OWN_OF_PROMETHEUS = ['up'];

test('each expression is made of metrics and labels that there are', () => {
  const metrics = told();
  assert.ok(metrics.size > 40 && expressions.length > 50);
  for (const { where, expr } of expressions) {
    const named = [...expr.matchAll(/\b(ringfill_[a-z_]+|process_[a-z_]+|nodejs_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?/g)];
    assert.ok(named.length > 0, `${where}: ${expr}`);
    const known = new Set<string>(EVERYWHERE);
    for (const [, name = '', selector = ''] of named) {
      if (OWN_OF_PROMETHEUS.includes(name)) continue;
      const labels = metrics.get(name) ?? metrics.get(name.replace(/_(?:bucket|sum|count)$/, ''));
      assert.ok(labels, `${where}: there is no metric ${name}`);
      for (const label of labels) known.add(label);
      for (const [, label = ''] of selector.matchAll(/([a-z_]+)\s*(?:=~|!=|!~|=)/g)) {
        assert.ok(labels.has(label) || EVERYWHERE.includes(label), `${where}: ${name} has no label ${label}`);
      }
    }
    for (const [, list = ''] of expr.matchAll(/\bby \(([^)]*)\)/g)) {
      for (const label of list.split(',').map((one) => one.trim())) {
        assert.ok(known.has(label), `${where}: no metric there has a label ${label}`);
      }
    }
  }
});

test('each alert has a page that says what to do, and each page an alert', () => {
  const pages = [...read('docs/operations.md').matchAll(/^### (Ringfill\w+)\n\n(Page|Ticket)\. (.+)/gm)];
  assert.deepEqual(
    pages.map(([, name]) => name),
    alerts.map(({ alert }) => alert),
  );
  for (const [index, [, name, severity]] of pages.entries()) {
    assert.equal(alerts[index]?.labels.severity, severity?.toLowerCase(), name);
    assert.ok(alerts[index]?.annotations.summary.endsWith('.'), name);
  }
});

test('every outcome, state and code that an expression picks can occur', () => {
  const catalogue = read('shared/errors/catalogue.ts');
  for (const { where, expr } of expressions) {
    for (const [, code = ''] of expr.matchAll(/code(?:=~|!=|=)"([^"]+)"/g)) {
      for (const one of code.split('|').filter((name) => !name.endsWith('.*'))) {
        assert.match(catalogue, new RegExp(`(?:^|\\s)'?${one}'?: \\{`, 'm'), `${where}: ${one}`);
      }
    }
  }
});

import {
  openThreeStatements,
  requirePrograms,
  startBareKoa,
  startDjango,
  startOurs,
  startStackAlone,
} from './accept/contenders.ts';
import { type Load, post } from './support/load.ts';
import type { Machine } from './support/machine.ts';
import { atLeast, atMost, figure, type Part, type Result } from './support/report.ts';
import { interleave, median } from './support/rounds.ts';

const rounds = 5;
const seconds = 3;
/** Seconds of load before each measurement: an idle server has cold caches and a small heap. */
const runIn = 2;

export const accept: Part = {
  about: `Posts per second that were answered 201 after their commit. Each has another address and another text of thirty words.

- **ours**: \`ruffinweb serve --no-deliver\` with every guard, a rate limit that one client does not reach, encryption, metrics, the log at
  \`info\` into a file, a notification for each post, and auto-replies up to the hourly limit;
- **three statements**: pgbench runs a transaction that upserts a sender and inserts a message and an email, on tables with the same indexes;
- **stack alone**: our app with everything that runs before the database (guards, limits, headers, metrics, the log) and a store that keeps nothing;
- **bare Koa**: only Koa, its router, our parser and field checks, and an answer;
- **trimmed Django**: Django REST framework under gunicorn with four workers. It stores a sender and a message unencrypted, without outbox, guards
  or a log. It keeps its database connections and loads only what such an API needs;
- **default Django**: the same with the settings of \`django-admin startproject\` and a connection for each request. No bar.

wrk posts over keep-alive connections from its own process. Each contender runs for two seconds before it is measured. Ratios are medians of each
round's ratios.`,
  run: measure,
};

type Name =
  | `${'ours' | 'trimmed Django'}, ${'64 clients' | '8 clients' | '1 client'}`
  | `${'three statements' | 'stack alone' | 'bare Koa' | 'default Django'}, 64 clients`;

async function measure(machine: Machine): Promise<Result> {
  await requirePrograms();
  await using servers = new AsyncDisposableStack();
  const ours = servers.use(await startOurs(machine));
  const alone = servers.use(await startStackAlone(machine));
  const bare = servers.use(await startBareKoa(machine));
  const django = servers.use(await startDjango(machine, 'settings'));
  const defaultDjango = servers.use(await startDjango(machine, 'startproject'));
  const three = await openThreeStatements(machine);
  for (const it of [ours, alone, bare, django, defaultDjango]) await post(it.url, { clients: 64, seconds: 2 });

  const at = (it: { url: string }, clients: number) => async () => {
    await post(it.url, { clients, seconds: runIn });
    return await post(it.url, { clients, seconds });
  };
  const samples = await interleave<Name, Load>(rounds, {
    'ours, 64 clients': at(ours, 64),
    'three statements, 64 clients': async () => {
      await three(64, runIn);
      return await three(64, seconds);
    },
    'stack alone, 64 clients': at(alone, 64),
    'bare Koa, 64 clients': at(bare, 64),
    'trimmed Django, 64 clients': at(django, 64),
    'default Django, 64 clients': at(defaultDjango, 64),
    'ours, 8 clients': at(ours, 8),
    'trimmed Django, 8 clients': at(django, 8),
    'ours, 1 client': at(ours, 1),
    'trimmed Django, 1 client': at(django, 1),
  });
  return describe(samples);
}

function describe(samples: Record<Name, Load[]>): Result {
  const ratio = (a: Name, b: Name, of: (it: Load) => number = (it) => it.perSecond) =>
    median(samples[a].map((it, round) => of(it) / of(samples[b][round] as Load)));
  return {
    columns: ['', 'posts per second', 'p50 (ms)', 'p99 (ms)'],
    rows: Object.entries(samples).map(([name, all]) => [
      name,
      figure(median(all.map((it) => it.perSecond))),
      ...(['p50', 'p99'] as const).map((key) => {
        const value = median(all.map((it) => it[key]));
        return Number.isNaN(value) ? '' : figure(value);
      }),
    ]),
    bars: [
      atLeast('64 clients, compared with trimmed Django', ratio('ours, 64 clients', 'trimmed Django, 64 clients'), 5),
      atMost(
        'p99 with 64 clients, compared with trimmed Django',
        ratio('ours, 64 clients', 'trimmed Django, 64 clients', (it) => it.p99),
        0.3,
      ),
      atLeast(
        '64 clients, compared with three statements',
        ratio('ours, 64 clients', 'three statements, 64 clients'),
        1.4,
      ),
      atLeast('64 clients, compared with the stack alone', ratio('ours, 64 clients', 'stack alone, 64 clients'), 0.5),
      atLeast('64 clients, compared with bare Koa', ratio('ours, 64 clients', 'bare Koa, 64 clients'), 0.2),
      atLeast('8 clients, compared with trimmed Django', ratio('ours, 8 clients', 'trimmed Django, 8 clients'), 2.5),
      atLeast('1 client, compared with trimmed Django', ratio('ours, 1 client', 'trimmed Django, 1 client'), 1.35),
    ],
  };
}

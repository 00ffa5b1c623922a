import {
  openThreeStatements,
  requirePrograms,
  startBareKoa,
  startDjango,
  startOneAtATime,
  startOurs,
  startStackAlone,
} from './accept/contenders.ts';
import { type Load, post } from './support/load.ts';
import type { Machine } from './support/machine.ts';
import { atLeast, atMost, figure, type Part, type Result } from './support/report.ts';
import { interleave, median } from './support/rounds.ts';

const rounds = 5;
const seconds = 3;
/** Seconds of rest before each of these: after a wait, its caches are cold and its heap is small. */
const runIn = 2;

export const accept: Part = {
  about: `Posts a second that were answered 201 after their commit, each from another address with another text of thirty words.

- **ours**: \`ruffinweb serve --no-deliver\` as it stands, with every guard, a rate limit that the one client does not reach, sealing, metrics,
  the log at \`info\` into a file, a notification for each post and auto-replies up to the hour's limit;
- **one at a time**: the same, storing each post by itself;
- **three statements**: pgbench upserting a sender and inserting a message and an email in a transaction, on tables with the same indexes;
- **stack alone**: our app with all that stands before the database (guards, limits, headers, metrics, the log), and a store that keeps nothing;
- **bare Koa**: Koa, its router, our reading and checking of a post, and an answer: none of the above. A figure to see it by, without a bar;
- **Django**: Django REST framework under gunicorn with four workers, storing a sender and a message in clear, without an outbox, guards or a log;
  with kept connections to the database, and without what such an API can do without. The bars are to this one;
- **Django as it comes**: the same with the settings of \`django-admin startproject\` and a connection for each request, as is the default. No bar.

wrk posts over kept connections from a process of its own, each contender for two seconds before it is measured. Ratios are medians of the rounds' own ratios.`,
  run: measure,
};

async function measure(machine: Machine): Promise<Result> {
  await requirePrograms();
  await using servers = new AsyncDisposableStack();
  const ours = servers.use(await startOurs(machine));
  const single = servers.use(await startOneAtATime(machine));
  const alone = servers.use(await startStackAlone(machine));
  const bare = servers.use(await startBareKoa(machine));
  const django = servers.use(await startDjango(machine, 'settings'));
  const asItComes = servers.use(await startDjango(machine, 'startproject'));
  const three = await openThreeStatements(machine);
  for (const it of [ours, single, alone, bare, django, asItComes]) await post(it.url, { clients: 64, seconds: 2 });

  const at = (it: { url: string }, clients: number) => async () => {
    await post(it.url, { clients, seconds: runIn });
    return await post(it.url, { clients, seconds });
  };
  const samples = await interleave(rounds, {
    'ours, 64 clients': at(ours, 64),
    'one at a time, 64 clients': at(single, 64),
    'three statements, 64 clients': async () => {
      await three(64, runIn);
      return await three(64, seconds);
    },
    'stack alone, 64 clients': at(alone, 64),
    'bare Koa, 64 clients': at(bare, 64),
    'Django, 64 clients': at(django, 64),
    'Django as it comes, 64 clients': at(asItComes, 64),
    'ours, 8 clients': at(ours, 8),
    'Django, 8 clients': at(django, 8),
    'ours, 1 client': at(ours, 1),
    'one at a time, 1 client': at(single, 1),
  });
  type Name = keyof typeof samples;
  const ratio = (a: Name, b: Name, of: (it: Load) => number = (it) => it.perSecond) =>
    median(samples[a].map((it, round) => of(it) / of(samples[b][round] as Load)));
  return {
    columns: ['', 'posts a second', 'p50 (ms)', 'p99 (ms)'],
    rows: Object.entries(samples).map(([name, all]) => [
      name,
      figure(median(all.map((it) => it.perSecond))),
      ...(['p50', 'p99'] as const).map((key) => {
        const value = median(all.map((it) => it[key]));
        return Number.isNaN(value) ? '' : figure(value);
      }),
    ]),
    bars: [
      atLeast('64 clients, to three statements', ratio('ours, 64 clients', 'three statements, 64 clients'), 1),
      atLeast('64 clients, to the stack alone', ratio('ours, 64 clients', 'stack alone, 64 clients'), 0.4),
      atLeast('64 clients, to one at a time', ratio('ours, 64 clients', 'one at a time, 64 clients'), 1.6),
      atLeast('64 clients, to Django', ratio('ours, 64 clients', 'Django, 64 clients'), 12),
      atMost(
        'p99 at 64 clients, to Django’s',
        ratio('ours, 64 clients', 'Django, 64 clients', (it) => it.p99),
        1 / 8,
      ),
      atLeast('8 clients, to Django', ratio('ours, 8 clients', 'Django, 8 clients'), 6),
      atLeast('1 client, to one at a time', ratio('ours, 1 client', 'one at a time, 1 client'), 0.9),
    ],
  };
}

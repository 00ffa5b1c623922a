import { openThreeStatements, startDjango, startOurs, startStackAlone } from './accept/contenders.ts';
import { type Load, post } from './support/load.ts';
import type { Machine } from './support/machine.ts';
import { figure, type Part, type Result } from './support/report.ts';
import { interleave, median } from './support/rounds.ts';

const rounds = 3;
const seconds = 4;

export const accept: Part = {
  about: `Accepting posts, each from another address with another text.`,
  run: measure,
};

async function measure(machine: Machine): Promise<Result> {
  await using servers = new AsyncDisposableStack();
  const ours = servers.use(await startOurs(machine));
  const alone = servers.use(await startStackAlone(machine));
  const django = servers.use(await startDjango(machine));
  const three = await openThreeStatements(machine);
  const at = (url: string, clients: number) => async () => await post(url, { clients, seconds });
  const plain = async (perSecond: Promise<number>): Promise<Load> => ({
    perSecond: await perSecond,
    p50: 0,
    p99: 0,
    answered: 0,
  });
  for (const it of [ours, alone, django]) await post(it.url, { clients: 64, seconds: 2 });
  const samples = await interleave(rounds, {
    'ours, 64 clients': at(ours.url, 64),
    'three statements, 64 clients': async () => await plain(three(64, seconds)),
    'stack alone, 64 clients': at(alone.url, 64),
    'Django, 64 clients': at(django.url, 64),
    'ours, 8 clients': at(ours.url, 8),
    'Django, 8 clients': at(django.url, 8),
    'ours, 1 client': at(ours.url, 1),
  });
  const rows = Object.entries(samples).map(([name, all]) => [
    name,
    figure(median(all.map((it) => it.perSecond))),
    figure(median(all.map((it) => it.p50))),
    figure(median(all.map((it) => it.p99))),
  ]);
  return { columns: ['', 'a second', 'p50 ms', 'p99 ms'], rows, bars: [] };
}

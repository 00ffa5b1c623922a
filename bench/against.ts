import { checkOut, thisTree } from './against/checkout.ts';
import { type Contender, openAccepting, openDelivering } from './against/contender.ts';
import { type Machine, openMachine } from './support/machine.ts';
import { atMostUnlessEqual, figure, type Part, type Result } from './support/report.ts';
import { interleave, median } from './support/rounds.ts';
import { startSink } from './support/sink.ts';

/** Posts and mails a round. `BENCH_POSTS` makes it quicker, and less precise. */
const count = Number(process.env.BENCH_POSTS ?? 3000);
const rounds = 10;

export const against: Part = {
  about: `Processor time per post and per mail (program and PostgreSQL together, user and system), compared with another commit:
${count.toLocaleString('en')} posts from eight clients to \`ruffinweb serve --no-deliver\`, and as many notifications sent by \`ruffinweb deliver\`, in ${rounds} interleaved rounds.
Each cell is the median with the lowest and highest round in parentheses. Where the range of the ratio crosses the bar, the two count as equal.`,
  run: measure,
};

async function measure(machine: Machine, commit?: string): Promise<Result> {
  if (commit === undefined) throw new Error('which commit? npm run bench against <commit>');
  await using before = await checkOut(commit, machine.folder);
  // A second PostgreSQL server, so that each one's processor time counts for one contender.
  await using other = await openMachine();
  const accepting = await compare(
    async () => await openAccepting(other, before.root, count),
    async () => await openAccepting(machine, thisTree, count),
  );
  await using sink = await startSink();
  const options = { count, smtpPort: sink.port };
  const delivering = await compare(
    async () => await openDelivering(other, before.root, options),
    async () => await openDelivering(machine, thisTree, options),
  );
  return {
    columns: ['µs of processor time', before.hash, 'this tree', 'ratio'],
    rows: [
      ['a post', ...describe(accepting)],
      ['a mail', ...describe(delivering)],
    ],
    bars: [
      atMostUnlessEqual('accept, processor time a post', accepting.ratios, 1.05),
      atMostUnlessEqual('deliver, processor time a mail', delivering.ratios, 1.05),
    ],
  };
}

interface Compared {
  readonly before: number[];
  readonly now: number[];
  /** Each round's own. */
  readonly ratios: number[];
}

async function compare(openBefore: () => Promise<Contender>, openNow: () => Promise<Contender>): Promise<Compared> {
  await using contenders = new AsyncDisposableStack();
  const theirs = contenders.use(await openBefore());
  const ours = contenders.use(await openNow());
  // Until what runs often is compiled.
  for (const contender of [theirs, ours]) await contender.measure();
  const { before, now } = await interleave(rounds, {
    before: async () => await theirs.measure(),
    now: async () => await ours.measure(),
  });
  return { before, now, ratios: now.map((time, round) => time / (before[round] ?? Number.NaN)) };
}

function describe({ before, now, ratios }: Compared): string[] {
  const range = (values: readonly number[], unit?: string) =>
    `${figure(median(values), unit)} (${figure(Math.min(...values), unit)} to ${figure(Math.max(...values), unit)})`;
  return [range(before), range(now), range(ratios, '×')];
}

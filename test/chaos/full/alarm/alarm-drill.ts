import { setTimeout as pause } from 'node:timers/promises';
import { conditions, databaseAway } from '../../../../src/services/alerts/conditions.ts';
import { buildProgram } from '../../../support/built-program.ts';
import { randomFrom } from '../../../support/random.ts';
import { until } from '../../../support/until.ts';
import { AlarmStage } from './alarm-stage.ts';
import { SteadyPosts } from './steady-posts.ts';

/** What a phone heard about one fault, in seconds after the break and after the repair. */
export interface DrillRow {
  fault: string;
  noticedAfterS: number | undefined;
  title: string;
  recoveredAfterS: number | undefined;
  recoveryTitle: string;
  /** Since the row before. */
  posts: { acknowledged: number; lost: number };
}

interface Fault {
  fault: string;
  begin(): unknown;
  end(): unknown;
  alert: string;
  /** How many processes tell it, each for itself. The last one counts. */
  tellers: number;
  /** How long it lasts after the alert. */
  lastsMs?: number;
}

/** How long a fault lasts, and how long its end is waited for, if nothing is heard. */
const maxSilenceMs = 180_000;

/** Longer than the time between two looks, so that a break comes at any moment between them. */
const maxRestMs = 20_000;

const alertOf = (name: string) =>
  Object.entries(conditions).find(([it]) => it.split(' ')[0] === name)?.[1].alert ?? name;

/** Once while the other side refuses, then through proxies on a network that swallows every byte. */
function roundsOf(stage: AlarmStage): { throughProxies: boolean; faults: Fault[] }[] {
  // So long that the queue is paused too, and its end has to be noticed.
  const mail = { alert: alertOf('paused'), tellers: 1, lastsMs: 60_000 };
  const database = { alert: databaseAway.alert, tellers: 3 };
  const refused: Fault = {
    ...{ fault: 'mail server refuses connections', ...mail },
    begin: () => stage.stopMail(),
    end: () => stage.startMail(),
  };
  const full: Fault = {
    ...{ fault: 'disk of DATA_DIR almost full', alert: alertOf('disk'), tellers: 1 },
    begin: () => stage.fillDisk(),
    end: () => stage.emptyDisk(),
  };
  const stopped: Fault = {
    ...{ fault: 'database stopped', ...database },
    begin: () => stage.stopDatabase(),
    end: () => stage.startDatabase(),
  };
  const expired: Fault = {
    ...{ fault: 'certificate expired', alert: alertOf('certificate'), tellers: 1 },
    begin: () => stage.setCertificate('expired.pem'),
    end: () => stage.setCertificate('cert.pem'),
  };
  const mailSwallowed: Fault = {
    ...{ fault: 'network to the mail server swallows everything', ...mail },
    begin: () => stage.setMailNetwork('swallow'),
    end: () => stage.setMailNetwork('pass'),
  };
  const databaseSwallowed: Fault = {
    ...{ fault: 'network to the database swallows everything', ...database },
    begin: () => stage.setDatabaseNetwork('swallow'),
    end: () => stage.setDatabaseNetwork('pass'),
  };
  const disk = stage.hasDisk ? [full] : [];
  return [
    { throughProxies: false, faults: [refused, ...disk, stopped, expired] },
    { throughProxies: true, faults: [mailSwallowed, databaseSwallowed] },
  ];
}

/** Breaks one thing after the other in real time. Each is repaired when the alert has arrived, or after three minutes. */
export async function alarmDrill(options: { seed: number; note(text: string): void }): Promise<DrillRow[]> {
  const { seed, note } = options;
  const random = randomFrom(seed);
  await buildProgram();
  await using stage = await AlarmStage.open();
  using posts = new SteadyPosts();
  const rows: DrillRow[] = [];
  const ends: number[] = [];
  if (!stage.hasDisk) note('this account may mount no disk, so none is filled');
  for (const { throughProxies, faults } of roundsOf(stage)) {
    posts.urls = [];
    await stage.startProcesses({ throughProxies });
    posts.urls = stage.urls;
    for (const fault of faults) {
      await pause(5000 + random() * maxRestMs);
      rows.push(await play(stage, fault));
      ends.push(Date.now());
      const { posts: _, ...row } = rows.at(-1) as DrillRow;
      note(JSON.stringify(row));
    }
  }
  await posts.stop();
  await countPosts(stage, posts, rows, ends);
  return rows;
}

async function play(stage: AlarmStage, { fault, alert, tellers, begin, end, lastsMs = 0 }: Fault): Promise<DrillRow> {
  const { ledger } = stage.receiver;
  ledger.length = 0;
  /** The titles that arrived after this time, until there are enough of this one. */
  const hear = async (title: string, startedAt: number) => {
    const all = () =>
      ledger
        .map((it) => ({ at: it.at.getTime(), title: String((JSON.parse(it.body) as { title: string }).title) }))
        .filter((it) => it.title.replace(/^\S+ /, '') === title);
    await until(title, () => all().length >= tellers, maxSilenceMs).catch(() => {});
    const last = all()[tellers - 1];
    return { afterS: last && Math.round((last.at - startedAt) / 100) / 10, title: last?.title ?? '' };
  };
  const brokenAt = Date.now();
  await begin();
  const noticed = await hear(alert, brokenAt);
  await pause(lastsMs);
  const repairedAt = Date.now();
  await end();
  const recovered = await hear(`resolved: ${alert}`, repairedAt);
  return {
    fault,
    noticedAfterS: noticed.afterS,
    title: noticed.title,
    recoveredAfterS: recovered.afterS,
    recoveryTitle: recovered.title,
    posts: { acknowledged: 0, lost: 0 },
  };
}

/** A post is lost if its message is not stored, or if the mail server has not accepted the notification about it. */
async function countPosts(stage: AlarmStage, posts: SteadyPosts, rows: DrillRow[], ends: number[]): Promise<void> {
  const waiting = `select from emails where state = 'queued' and kind = 'notification' limit 1`;
  await until('all mail is sent', async () => (await stage.query(waiting)).length === 0, 300_000).catch(() => {});
  const stored = new Set(
    (await stage.query<{ receipt: string }>('select receipt from messages')).map((it) => it.receipt),
  );
  await stage.end();
  const replyTo = /^Reply-To: .*?(visitor-\d+@example\.test)/im;
  const notified = new Set(stage.mails.map((it) => replyTo.exec(it)?.[1]));
  for (const { email, receipt, at } of posts.acknowledged) {
    const row = rows[Math.min(ends.filter((end) => end < at).length, rows.length - 1)];
    if (row === undefined) continue;
    row.posts.acknowledged += 1;
    if (!stored.has(receipt) || !notified.has(email)) row.posts.lost += 1;
  }
}

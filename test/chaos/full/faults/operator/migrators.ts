import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { migrationLock } from '../../../../../src/database/migrate.ts';
import { clientOf, submission } from '../../../../support/api.ts';
import { programPath } from '../../../../support/built-program.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../../../../support/program.ts';
import { randomFrom } from '../../../../support/random.ts';
import { earlierReleases, unpackRelease } from '../../../../support/releases.ts';
import { until } from '../../../../support/until.ts';
import type { Fault, Stage } from '../../fault.ts';
import type { Violation } from '../../judges/oracle.ts';
import { readCatalogue } from './catalogue.ts';

const migratorsAtOnce = 10;

/** A database to begin with, and what one quiet migration makes of it. */
interface Beginning {
  name: string;
  messages: number;
  catalogue: string;
}

export const tenMigrators: Fault = {
  id: 'ten-migrators',
  title: 'ten "migrate up" at once, some killed (kill -9), on an empty database and on one of the oldest release',
  async run(stage) {
    const cycles = stage.isShort ? 1 : 8;
    const random = randomFrom(stage.seed);
    await using folder = await temporaryFolder();
    const settings = { DATA_DIR: folder.path, MAIL_FROM: 'site@site.test', NOTIFY_TO: 'owner@site.test' };
    const beginnings = stage.isShort ? [await beginOld(stage, settings)] : await beginBoth(stage, settings);
    const violations: Violation[] = [];
    const counts = { acknowledged: 0, lost: 0, killed: 0, hits: 0 };
    for (let cycle = 0; cycle < cycles; cycle++) {
      const beginning = beginnings[cycle % beginnings.length] as Beginning;
      const name = `migrated_${process.pid}_${cycle}`;
      await onServer(stage, 'postgres', `create database ${name} template ${beginning.name}`);
      const mine = { ...settings, DATABASE_URL: stage.postgres.urlOf(name) };
      const { codes, isHit } = await migrateAtOnce(stage, name, {
        settings: mine,
        goal: beginning.catalogue,
        random,
      });
      counts.killed += codes.filter((it) => it === null).length;
      counts.hits += Number(isHit);
      const say = (invariant: Violation['invariant'], what: string) =>
        violations.push({ invariant, what: `round ${cycle} on ${beginning.name}: ${what}` });
      if (codes.some((it) => it !== 0 && it !== null)) say('no crash', `exit codes ${codes}`);
      const check = await ruffinweb(['migrate', 'check'], mine);
      if (check.code !== 0) say('all or nothing', check.stderr);
      if ((await readCatalogue(mine.DATABASE_URL)) !== beginning.catalogue) say('all or nothing', 'another schema');
      const posted = await postTo(mine);
      const [row] = await onServer<{ n: number }>(stage, name, 'select count(*)::int as n from messages');
      counts.acknowledged += posted;
      counts.lost += Math.max(0, posted + beginning.messages - (row?.n ?? 0));
      if (row?.n !== posted + beginning.messages) say('no loss', `${posted} more messages make ${row?.n}`);
      if (posted === 0) say('honest answers', 'no post is taken');
      await onServer(stage, 'postgres', `drop database ${name} with (force)`);
    }
    for (const it of beginnings) await onServer(stage, 'postgres', `drop database ${it.name}`);
    const note = `${counts.killed} migrators were killed, ${counts.hits} times before the one at work had ended.`;
    const { acknowledged, lost } = counts;
    const nothing = { duplicated: 0, uncertain: 0, recovery: undefined, noticed: undefined };
    return { cycles, acknowledged, lost, ...nothing, violations, note };
  },
};

async function beginBoth(stage: Stage, settings: Settings): Promise<Beginning[]> {
  return [await beginWith(stage, settings, 'of_nothing', 0), await beginOld(stage, settings)];
}

async function beginOld(stage: Stage, settings: Settings): Promise<Beginning> {
  const [oldest] = earlierReleases;
  if (oldest === undefined) throw new Error('there is no earlier release');
  await using release = await unpackRelease(oldest);
  const fill = async (mine: Settings) => {
    const { code, stderr } = await ruffinweb(['migrate', 'up'], mine, '', release.program);
    if (code !== 0) throw new Error(`migrate up of ${release.version}: ${stderr}`);
    return await postTo(mine, release.program);
  };
  return await beginWith(stage, settings, 'of_oldest', fill);
}

/** Makes a database, and a copy that one migrator upgrades without any fault. */
async function beginWith(
  stage: Stage,
  settings: Settings,
  name: string,
  fill: 0 | ((settings: Settings) => Promise<number>),
): Promise<Beginning> {
  const own = `${name}_${process.pid}`;
  await onServer(stage, 'postgres', `create database ${own}`);
  const messages = fill === 0 ? 0 : await fill({ ...settings, DATABASE_URL: stage.postgres.urlOf(own) });
  await onServer(stage, 'postgres', `create database ${own}_quiet template ${own}`);
  const url = stage.postgres.urlOf(`${own}_quiet`);
  const { code, stderr } = await ruffinweb(['migrate', 'up'], { ...settings, DATABASE_URL: url });
  if (code !== 0) throw new Error(`a quiet migration: ${stderr}`);
  const catalogue = await readCatalogue(url);
  await onServer(stage, 'postgres', `drop database ${own}_quiet`);
  return { name: own, messages, catalogue };
}

/**
 * Some are killed while one of them works. @returns the exit codes, which are null for those, and whether the one at work
 * died before its end.
 */
async function migrateAtOnce(
  stage: Stage,
  name: string,
  { settings, goal, random }: { settings: Settings; goal: string; random: () => number },
): Promise<{ codes: (number | null)[]; isHit: boolean }> {
  const start = () => RunningServer.startCommand(['migrate', 'up'], settings);
  const migrators = await Promise.all(Array.from({ length: migratorsAtOnce }, start));
  const locks = `select pid from pg_locks where locktype = 'advisory' and granted and objid = ${migrationLock}`;
  const working = async () => (await onServer<{ pid: number }>(stage, name, locks))[0]?.pid;
  const first = await until('one of them works', working);
  await pause(random() * 400);
  for (const it of migrators.slice(0, 1 + Math.floor(random() * (migratorsAtOnce - 1)))) it.signal('SIGKILL');
  await pause(20);
  const isOver = (await readCatalogue(stage.postgres.urlOf(name)).catch(() => 'empty')) === goal;
  const isHit = !isOver && (await working()) !== first;
  const ends = await Promise.all(migrators.map((it) => it.ended as Promise<[number | null, string | null]>));
  return { codes: ends.map(([code]) => code), isHit };
}

/** Visitors post a few times. @returns how many posts are acknowledged. */
async function postTo(settings: Settings, program = programPath()): Promise<number> {
  await using server = await RunningServer.start(settings, ['serve'], program);
  const http = clientOf(server.url);
  const posts = Array.from({ length: 20 }, (_, index) => submission({ message: `Message ${index}` }));
  const answers = await Promise.all(posts.map((it) => http.post('/api/messages', it)));
  await server.stop();
  return answers.filter((it) => it.status === 201).length;
}

async function onServer<Row extends pg.QueryResultRow>(
  { postgres }: Stage,
  database: string,
  sql: string,
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: postgres.urlOf(database) });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

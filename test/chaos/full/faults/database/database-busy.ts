import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { MachinePostgres } from '../../../../support/machine-postgres.ts';
import { until } from '../../../../support/until.ts';
import { type Fault, look, type Noticed } from '../../fault.ts';
import { rowWithAnswers } from '../../judges/answers.ts';
import { World } from '../../world.ts';

const ordinary = 40;

export const slowDatabase: Fault = {
  id: 'slow-database',
  title: 'every answer of the database is 0.3 to 0.5 s late, then a table is locked, at ten times the visitors',
  async run({ postgres, seed, isShort }) {
    const seconds = isShort ? { slow: 2, locked: 1 } : { slow: 15, locked: 20 };
    await using world = await World.open({ postgres, seed, rate: ordinary });
    world.startWorker();
    world.startServer();
    await world.sends(1);

    world.load.rate = 10 * ordinary;
    world.outside.databaseProxy.delayMs = () => 300 + world.random() * 200;
    const slow = await whileItLasts(world, seconds.slow);
    world.outside.databaseProxy.delayMs = () => 0;
    await world.recovers();

    // Posts wait for it, and give up; so does the delivery of mail.
    const lock = await world.outside.database.connect();
    await lock.query('begin; lock table messages in access exclusive mode');
    // Answers of posts that were stored before it was locked are still on their way.
    await pause(1000);
    let noticed: Noticed | undefined;
    const locked = await whileItLasts(world, seconds.locked, async () => {
      await pause(seconds.locked * 300);
      noticed = await look(world);
    });
    await lock.query('rollback');
    lock.release();
    world.load.rate = ordinary;
    await world.recovers();

    const [stat] = await world.query<{ deadlocks: number }>(
      'select deadlocks::int from pg_stat_database where datname = current_database()',
    );
    const note = `While slow ${slow}; while locked ${locked}. ${stat?.deadlocks} deadlocks.`;
    return await rowWithAnswers(world, 2, { noticed, note });
  },
};

/** @returns how many posts were acknowledged meanwhile, and how many mails left. */
async function whileItLasts(
  world: World,
  seconds: number,
  then: () => Promise<void> = async () => {},
): Promise<string> {
  const before = { posts: world.load.acknowledged, mails: world.outside.mail.ledger.count };
  await Promise.all([pause(seconds * 1000), then()]);
  return `${world.load.acknowledged - before.posts} posts and ${world.outside.mail.ledger.count - before.mails} mails`;
}

/** More than the program opens, so that both can work beside each other. */
const allowed = 40;

export const maxConnections: Fault = {
  id: 'max-connections',
  title: "other clients take every connection that PostgreSQL allows, as soon as the program's are closed",
  async run({ seed, isShort }) {
    const cycles = isShort ? 1 : 4;
    const lastsMs = isShort ? 1000 : 4000;
    await using postgres = await MachinePostgres.open(
      `-c max_connections=${allowed} -c superuser_reserved_connections=0`,
    );
    await using world = await World.open({ postgres, seed, rate: isShort ? 100 : 150 });
    world.startWorker();
    world.startServer();
    await world.sends(1);
    let noticed: Noticed | undefined;
    for (let cycle = 0; cycle < cycles; cycle++) {
      await world.acknowledges(Math.floor(world.random() * 200));
      await using others = await takeAll(postgres.urlOf('postgres'));
      noticed ??= await look(world);
      await pause(lastsMs * (0.5 + world.random()));
      await others.leave();
      await world.recovers();
    }
    return await rowWithAnswers(world, cycles, { noticed });
  },
};

/** Clients that take every free connection, end those of the program once, and take these too. */
async function takeAll(url: string): Promise<AsyncDisposable & { leave(): Promise<void> }> {
  const clients: pg.Client[] = [];
  let isOver = false;
  const take = async (): Promise<boolean> => {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    return await client.connect().then(
      () => clients.push(client) > 0,
      () => false,
    );
  };
  while (await take());
  const taking = Array.from({ length: 4 }, async () => {
    while (!isOver) if (!(await take())) await pause(5);
  });
  const leave = async () => {
    isOver = true;
    await Promise.all(taking);
    await Promise.all(clients.splice(0).map((it) => it.end()));
  };
  // Both sides try for each connection that is closed, until the program has none.
  await until('the others have all connections', async () => {
    const { rows } = (await clients[0]?.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname <> 'postgres' and backend_type = 'client backend'`,
    )) as pg.QueryResult;
    return rows.length === 0 && clients.length === allowed;
  });
  return { leave, [Symbol.asyncDispose]: leave };
}

import type { Held, Step } from '../../../../support/smtp-server.ts';
import { soon } from '../../../../support/until.ts';
import { type Fault, rowOf } from '../../fault.ts';
import { World } from '../../world.ts';

/** Waits for a moment in the life of a mail. @returns ends what was held there, when the worker is dead. */
type Moment = (world: World, kill: () => void) => Promise<() => void>;

/** Several mails at the same step. What the mail server does with them afterwards: it goes on, or forgets them. */
function atStep(step: Step, most = 4): Moment {
  return async ({ outside: { mail }, random }, kill) => {
    const count = 1 + Math.floor(random() * most);
    mail.answer(step, 'hold', { times: count });
    const held: Held[] = [];
    while (held.length < count) held.push(await mail.held(step, 60_000));
    kill();
    return () => {
      for (const it of held) it.release(random() < 0.5 ? 'drop' : undefined);
    };
  };
}

/** The 250 is on its way to the worker, or has just arrived. */
const afterTheAnswer: Moment = ({ outside: { mail }, random }, kill) =>
  new Promise((resolve) => {
    const afterMs = random() * 4;
    const choose = () => {
      // The session writes its 250 before the next turn of events.
      setTimeout(() => {
        kill();
        resolve(() => {});
      }, afterMs);
      return undefined;
    };
    let isFirst = true;
    mail.answer('dot', () => {
      if (isFirst) choose();
      isFirst = false;
      return undefined;
    });
  });

/** A statement runs, its answer is lost, or it reaches the database only when another worker is there. */
function atStatement(name: string): Moment {
  return async ({ outside: { databaseProxy }, random }, kill) => {
    const way = random();
    if (way < 0.4) {
      await databaseProxy.reached(name);
      kill();
      return () => {};
    }
    const point = way < 0.7 ? 'before' : 'after';
    const deliver = await databaseProxy.cutAt(point, name);
    kill();
    return point === 'before' ? () => void setTimeout(deliver, random() * 3000) : () => {};
  };
}

/** A connection says QUIT when no mail has used it for ten seconds. No mail may wait from before. */
const atQuit: Moment = async (world, kill) => {
  world.load.rate = 5;
  const end = await atStep('quit', 1)(world, kill);
  world.load.rate = rate;
  return end;
};

const rate = 100;

/** Only a new connection gets there, so the worker meets it when it starts. */
const onConnecting: Moment[] = [atStep('greeting'), atStep('ehlo'), atStep('auth')];
const onSending: Moment[] = [
  ...[atStep('mail'), atStep('rcpt'), atStep('data'), atStep('body'), atStep('dot'), atStep('dot'), afterTheAnswer],
  ...['claim_due', 'cancel_unwanted', 'clear_unsent', 'settle_emails'].map(atStatement),
];
const all = [...onConnecting, ...onSending];

/** Kills at each stage of SMTP, and at each statement that belongs to a mail, under load. */
export const killedWorker: Fault = {
  id: 'killed-worker',
  title: 'the worker is killed (kill -9) at each stage of SMTP, and while each of its statements runs',
  async run({ postgres, seed, isShort }) {
    const auth = { user: 'site', password: 'the password of the test' };
    const settings = { SMTP_USER: auth.user, SMTP_PASSWORD: auth.password };
    await using world = await World.open({ postgres, seed, rate, settings, mail: { auth } });
    world.startServer();
    const moments = isShort
      ? [atStep('dot'), afterTheAnswer, atStatement('clear_unsent')]
      : Array.from({ length: 100 }, (_, cycle) => (cycle < 2 ? atQuit : (all[cycle % all.length] ?? atQuit)));
    for (const moment of moments) await killAt(world, moment);
    world.startWorker();
    await world.recovers();
    return await rowOf(world, moments.length);
  },
};

async function killAt(world: World, moment: Moment): Promise<void> {
  const { mail } = world.outside;
  // Past the proxy: what this mail server has written is with the worker then.
  const start = () => world.startWorker(0, { settings: { SMTP_PORT: String(mail.port) } });
  const ended: Promise<unknown>[] = [];
  const kill = () => void ended.push(world.workers[0]?.stop('SIGKILL') ?? Promise.resolve());
  if (onConnecting.includes(moment)) {
    const killed = soon('its moment', moment(world, kill));
    start();
    const end = await killed;
    await Promise.all(ended);
    end();
  } else {
    start();
    await world.recovers();
    await world.sends(Math.floor(world.random() * 60));
    const end = await soon('its moment', moment(world, kill));
    await Promise.all(ended);
    end();
  }
  mail.reset();
}

import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import type { Outcome } from '../../src/mail/mailer.ts';
import type { MailingContext } from '../../src/mailing-context.ts';
import {
  changePause,
  describePause,
  explainBrokenTransport,
  pauseQueue,
  readPause,
  resumeQueue,
} from '../../src/services/delivery/pause/pause.ts';
import { pauseIfRestored, restoredPause } from '../../src/services/delivery/pause/pause-after-restore.ts';
import { confirmAway, pauseForServer, probeMail } from '../../src/services/delivery/pause/probe-mail-server.ts';
import { openScope } from '../../src/services/scope.ts';
import { type Asked, isDone, scriptedContext } from '../support/scripted.ts';

const config = { smtp: { host: 'mail.test', port: 587 }, dataDir: '/data' } as const;
const place = { table: 'mail_queue', column: 'reason', row: '1' } as const;

type Rows = Record<string, unknown>[];
/** What the database answers, by the name of the statement. */
type Script = Record<string, Rows | Error>;

function open(script: Script = {}, settings: object = config) {
  const database = scriptedContext(({ name }: Asked) => {
    const rows = script[name] ?? [];
    return rows instanceof Error ? Promise.reject(rows) : rows;
  }, settings);
  const scope = openScope(database.context);
  const { keyring } = scope;
  return {
    ...database,
    scope,
    keyring,
    /** Name and values of each statement, with the reason in clear. */
    statements: () =>
      database.asked.map(({ name, values }) => [
        name,
        ...values.map((it) => (Buffer.isBuffer(it) ? keyring.open(it, place) : it)),
      ]),
  };
}

describe('the pause of the queue', () => {
  it('stores cause and reason, and tells whether that changed anything', async () => {
    for (const changed of [true, false]) {
      const rows = changed ? [{}] : [];
      const { scope, statements } = open({ pause_queue_3: rows, change_pause_1: rows, resume_queue_2: rows });
      const results = [
        await pauseQueue(scope, 'away', 'no'),
        await pauseQueue(scope, 'broken', 'no'),
        await pauseQueue(scope, 'hand', null),
        await changePause(scope, 'away', 'no'),
        await changePause(scope, 'broken', 'no'),
        await resumeQueue(scope),
        await resumeQueue(scope, 'away'),
      ];
      expect(results).to.deep.equal(Array(7).fill(changed));
      expect(statements()).to.deep.equal([
        ['pause_queue_3', 'broken', 'no', true],
        ['pause_queue_3', 'broken', 'no', false],
        ['pause_queue_3', 'hand', null, false],
        ['change_pause_1', true, 'no'],
        ['change_pause_1', false, 'no'],
        ['resume_queue_2', null],
        ['resume_queue_2', 'away'],
      ]);
    }
  });

  it('is read with its reason, if that can be decrypted', async () => {
    const pausedAt = new Date(0);
    const since = pausedAt.toISOString();
    const { keyring } = open();
    const reason = keyring.seal('why', place);
    const read = async (row: Record<string, unknown> | undefined, withKeys = true) => {
      const { scope, asked } = open({ findOne: row === undefined ? [] : [row] });
      const pause = await readPause(scope.em, withKeys ? keyring : undefined);
      expect(asked[0]?.values).to.deep.equal([{ id: 1 }, { refresh: true }]);
      return pause;
    };
    expect(await read(undefined)).to.equal(null);
    expect(await read({ pausedAt: null, cause: 'hand' })).to.equal(null);
    expect(await read({ pausedAt, cause: null })).to.equal(null);
    expect(await read({ pausedAt, cause: 'hand', reason })).to.deep.equal({ cause: 'hand', since, reason: 'why' });
    const noReason = { since, reason: null };
    expect(await read({ pausedAt, cause: 'hand', reason }, false)).to.deep.equal({ cause: 'hand', ...noReason });
    for (const [cause, isAway, shown] of [
      ['broken', true, 'away'],
      ['broken', false, 'broken'],
      ['hand', true, 'hand'],
    ] as const) {
      expect(await read({ pausedAt, cause, isAway, reason: null })).to.deep.equal({ cause: shown, ...noReason });
    }
    const broken = Buffer.concat([reason, Buffer.from('x')]);
    expect(await read({ pausedAt, cause: 'hand', reason: broken })).to.deep.equal({ cause: 'hand', ...noReason });
  });

  it('is described with its cause and how to end it', () => {
    const settings = 'check SMTP_HOST, SMTP_PORT, SMTP_USER, SMTP_PASSWORD and MAIL_FROM';
    const ports = 'if it stays away, check SMTP_HOST and SMTP_PORT, and whether a firewall blocks that port';
    const copied =
      'the queue is paused, because this database was restored from a backup or moved: what it holds as queued may have been sent';
    const refused = 'the queue is paused, because the mail server does not let us in';
    for (const [cause, reason, fact, fix, advice = `resume-${cause}`] of [
      ['broken', 'no', `${refused} (no)`, settings],
      ['broken', null, refused, settings],
      ['away', '', 'the queue is paused, because no mail server answers at mail.test:587', ports],
      ['hand', 'moving', 'the queue was paused by hand: moving', null],
      ['hand', null, 'the queue was paused by hand', null],
      ['restored', null, copied, null],
      ['restored', 'I look', `${copied} (I look)`, null],
      [
        'flood',
        'x',
        'the queue is paused for a cause that only a later release knows: flood (x)',
        'look at the health report of that release',
        'resume-hand',
      ],
    ] as const) {
      const described = describePause({ cause: cause as 'hand', reason }, config as never);
      expect(described).to.deep.equal({ fact, fix, advice });
    }
    const folder = { smtp: undefined, dataDir: '/data' };
    expect(explainBrokenTransport(folder, 'away')).to.deep.equal({
      fact: 'mail cannot be written to /data/mail, while SMTP_HOST is not set',
      fix: 'make that folder writable, or set DATA_DIR',
    });
    expect(explainBrokenTransport(config as never, 'later')).to.deep.equal({
      fact: 'the mail server says not now',
      fix: 'if that goes on, correct what its reply names',
    });
  });
});

describe('a probe of the mail server', () => {
  const outcomes = {
    accepted: { result: 'accepted', code: 250, reply: 'ok' },
    later: { result: 'later', code: 451, reply: 'not now' },
    broken: { result: 'broken', code: 535, reply: 'no' },
    away: { result: 'away', code: 421, reply: 'gone' },
  } as const satisfies Record<string, Outcome>;

  function probing(script: Script, outcome: Outcome | undefined = outcomes.accepted, settings: object = config) {
    const opened = open(script, settings);
    let verified = 0;
    const verify = async () => {
      verified += 1;
      return outcome;
    };
    const context = { ...opened.context, mailer: { verify } } as unknown as MailingContext;
    return { ...opened, context, verified: () => verified };
  }
  const stop = new AbortController();
  const due = { reason: null, paused_ms: 0 };

  it('waits for its turn, also if no options are given', async () => {
    const early = probing({ probe_due_4: [], probe_mail_4: [{}] });
    expect(await probeMail(early.context, stop.signal)).to.equal(false);
    expect(early.statements()).to.deep.equal([['probe_due_4', 60_000]]);
    const other = probing({ probe_due_4: [due], probe_mail_4: [] });
    expect(await probeMail(other.context, stop.signal, {})).to.equal(false);
    expect([early.verified(), other.verified()]).to.deep.equal([0, 0]);
    const atOnce = probing({ probe_mail_4: [{}] });
    expect(await probeMail(atOnce.context, stop.signal, { atOnce: true })).to.equal(false);
    expect(atOnce.statements()[0]).to.deep.equal(['probe_mail_4', 0]);
    expect(atOnce.verified()).to.equal(1);
  });

  it('comes more and more rarely after a refused login', async () => {
    const minutes = async (reason: string | null, pausedMs: number) => {
      const { keyring } = open();
      const row = { reason: reason === null ? null : keyring.seal(reason, place), paused_ms: pausedMs };
      const { context, statements } = probing({ probe_due_4: [row] });
      await probeMail(context, stop.signal);
      return Number(statements()[1]?.[1]) / 60_000;
    };
    for (const [pausedMs, expected] of [
      [0, 1],
      [299_999, 1],
      [300_000, 2],
      [899_999, 2],
      [900_000, 5],
      [3_599_999, 5],
      [3_600_000, 15],
    ] as const) {
      expect(await minutes('535 5.7.8 wrong', pausedMs), `${pausedMs}`).to.equal(expected);
    }
    expect(await minutes('534 5.7.9', 900_000)).to.equal(5);
    for (const reason of [null, '550 no', '5350', 'said 535 no']) {
      expect(await minutes(reason, 900_000), `${reason}`).to.equal(1);
    }
  });

  const still = 'debug: still ';
  const refusing = 'the mail server does not let us in';
  for (const [title, outcome, changes, script, expected] of [
    ['still refuses us', outcomes.broken, ['change_pause_1', false, 'no'], {}, [`${still}${refusing}`]],
    [
      'refuses us now',
      outcomes.broken,
      ['change_pause_1', false, 'no'],
      { change_pause_1: [{}] },
      [
        `error: the queue is paused, because ${refusing}: check SMTP_HOST, SMTP_PORT, SMTP_USER, SMTP_PASSWORD and MAIL_FROM, then look at the health report`,
        `${still}${refusing}`,
      ],
    ],
    [
      'is away now',
      outcomes.away,
      ['change_pause_1', true, 'gone'],
      { change_pause_1: [{}] },
      [
        'warn: the queue is paused, because no mail server answers at mail.test:587: mail goes on when it answers',
        `${still}no mail server answers at mail.test:587`,
      ],
    ],
    [
      'lets us in',
      outcomes.accepted,
      ['resume_queue_2', 'broken'],
      { resume_queue_2: [{}] },
      ['warn: delivery goes on: the mail server lets us in again'],
    ],
    [
      'answers',
      outcomes.later,
      ['resume_queue_2', 'away'],
      { resume_queue_2: [{}] },
      ['warn: delivery goes on: the mail server answers again'],
    ],
    ['says not now', outcomes.later, ['resume_queue_2', 'away'], {}, [`${still}the mail server says not now`]],
  ] as const) {
    it(`that finds that it ${title}`, async () => {
      const { context, statements, said, lines } = probing({ ...script, probe_mail_4: [{}] } as Script, outcome);
      const resumed = await probeMail(context, stop.signal, { atOnce: true });
      expect(resumed).to.equal(expected[0]?.startsWith('warn: delivery') ?? false);
      expect(statements().slice(1)).to.deep.equal([changes]);
      expect(said()).to.deep.equal(expected);
      const { outcome: result, code } = lines.at(-1) ?? {};
      expect([result, code]).to.deep.equal(resumed ? [undefined, undefined] : [outcome.result, outcome.code]);
      if (lines.length > 1) expect(lines[0]?.code).to.equal(outcome.code);
    });
  }

  it('says that mail can be written again, without a mail server', async () => {
    const script = { probe_mail_4: [{}], resume_queue_2: [{}] };
    const { context, said } = probing(script, outcomes.accepted, { smtp: undefined, dataDir: '/data' });
    expect(await probeMail(context, stop.signal, { atOnce: true })).to.equal(true);
    expect(said()).to.deep.equal(['warn: delivery goes on: mail can be written again']);
  });

  it('ends at the stop, and leaves no listener', async () => {
    const opened = probing({ probe_mail_4: [{}], resume_queue_2: [{}] });
    const silent = { ...opened.context, mailer: { verify: () => new Promise(() => {}) } } as unknown as MailingContext;
    const ending = new AbortController();
    const probed = probeMail(silent, ending.signal, { atOnce: true });
    const confirmed = confirmAway(silent, ending.signal);
    expect([await isDone(probed), await isDone(confirmed)]).to.deep.equal([false, false]);
    expect(getEventListeners(ending.signal, 'abort')).to.have.lengthOf(2);
    ending.abort();
    expect([await isDone(probed), await isDone(confirmed)]).to.deep.equal([true, true]);
    expect([await probed, await confirmed]).to.deep.equal([false, 'answers']);
    expect(await isDone(probeMail(silent, ending.signal, { atOnce: true }))).to.equal(true);
    await probeMail(opened.context, stop.signal, { atOnce: true });
    for (const { signal } of [ending, stop]) expect(getEventListeners(signal, 'abort')).to.deep.equal([]);
  });

  it('after an email that met no server pauses the queue if it meets none', async () => {
    for (const [outcome, rows, expected] of [
      [outcomes.accepted, [{}], 'answers'],
      [outcomes.broken, [{}], 'answers'],
      [outcomes.away, [{}], 'paused'],
      [outcomes.away, [], 'away'],
    ] as const) {
      const { context, statements } = probing({ pause_queue_3: [...rows] }, outcome);
      expect(await confirmAway(context, stop.signal)).to.equal(expected);
      expect(statements()).to.deep.equal(expected === 'answers' ? [] : [['pause_queue_3', 'broken', 'gone', true]]);
    }
  });

  it('that cannot pause the queue says so', async () => {
    for (const [outcome, rows, paused, expected] of [
      [outcomes.broken, [{}], true, /^error: the queue is paused, because the mail server does not let us in: check/],
      [outcomes.broken, [], false, /^$/],
      [outcomes.broken, new Error('lost'), false, /^error: the queue could not be paused$/],
    ] as const) {
      const { scope, said, lines, statements } = open({ pause_queue_3: rows instanceof Error ? rows : [...rows] });
      expect(await pauseForServer(scope, outcome)).to.equal(paused);
      expect(said().join()).to.match(expected);
      expect(lines.some((it) => it.err !== undefined)).to.equal(rows instanceof Error);
      expect(statements()).to.deep.equal([['pause_queue_3', 'broken', 'no', false]]);
    }
  });
});

describe('the pause after a restore', () => {
  it('is made if the identity of the database has changed', async () => {
    const forbidden = Object.assign(new Error('no right'), { code: '42501' });
    for (const [cluster, adopted, id, logged] of [
      [[{ id: '7' }], [{ restored: true }], '7', 1],
      [[{ id: '7' }], [{ restored: false }], '7', 0],
      [[], [], '-', 0],
      [forbidden, [{ restored: true }], '-', 1],
    ] as [Rows | Error, Rows, string, number][]) {
      const { scope, statements, said } = open({ cluster_identity_1: cluster, adopt_identity_1: adopted });
      await pauseIfRestored(scope);
      expect(statements()).to.deep.equal([['cluster_identity_1'], ['adopt_identity_1', id]]);
      expect(said()).to.have.lengthOf(logged);
      if (logged > 0) expect(said()[0]).to.match(/^error: this database was restored from a backup, or moved/);
      const { text, values } = await restoredPause(scope);
      expect(text).to.include(`cause = 'restored'`);
      expect(values).to.deep.equal([id]);
    }
    const lost = open({ cluster_identity_1: new Error('lost') });
    expect(await pauseIfRestored(lost.scope).catch(String)).to.equal('Error: lost');
  });
});

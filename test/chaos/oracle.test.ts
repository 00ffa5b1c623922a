import { expect } from 'chai';
import { badLinesIn, type Facts, type Invariant, judge } from './full/judges/oracle.ts';
import type { VisitLine } from './full/ledgers/load.ts';

/** Facts that a test may change. */
type Changeable = { -readonly [Key in keyof Facts]: Facts[Key] extends readonly (infer Item)[] ? Item[] : Facts[Key] };

const at = 0;
const sent = (key: string, form: string): VisitLine => ({ at, key, answer: 'sent', form });
const notification = (id: string, messageId: string) => ({
  ...{ id, messageId, kind: 'notification' as const, state: 'sent', failure: null, header: `<${id}@s>` },
  ...{ uncertain: 0, accepted: 1 },
});
const mail = (id: string, to: string, key: string) => ({
  ...{ at, messageId: `<${id}@s>`, to: [to], about: key, hash: `hash of ${id}` },
});

/**
 * Three posts: k1 is stored as m1; k2 brings about everything, was without an answer at first and was posted again; k3
 * never got an answer, and is not stored.
 */
function goodFacts(): Changeable {
  return {
    visits: [
      ...[sent('k1', 'plain'), { at, key: 'k1', answer: 201, id: 'm1' } as const],
      ...[sent('k2', 'full'), { at, key: 'k2', answer: 'none' } as const],
      ...[sent('k2', 'full'), { at, key: 'k2', answer: 201, id: 'm2' } as const],
      ...[{ ...sent('k2', 'full'), again: 'same' }, { at, key: 'k2', answer: 201, id: 'm2', again: 'same' } as const],
      ...[{ ...sent('k1', 'plain'), again: 'other' }, { at, key: 'k1', answer: 422, again: 'other' } as const],
      ...[sent('k3', 'plain'), { at, key: 'k3', answer: 503 } as const],
    ] as VisitLine[],
    messages: [
      { id: 'm1', form: 'plain', email: 'ada@k1.test', message: 'The post k1.' },
      { id: 'm2', form: 'full', email: 'ada@k2.test', message: 'The post k2.' },
    ],
    emails: [notification('e1', 'm1'), notification('e2', 'm2'), { ...notification('a2', 'm2'), kind: 'auto-reply' }],
    deliveries: [{ id: 'd2', messageId: 'm2', state: 'sent', uncertain: 0, accepted: 1 }],
    mails: [mail('e1', 'owner@s', 'k1'), mail('e2', 'owner@s', 'k2'), mail('a2', 'ada@k2.test', 'k2')],
    calls: [{ at, id: 'd2', hash: 'hash of d2', messageId: 'm2' }],
    forms: {
      plain: { notifications: 1, autoReply: false, hooks: 0 },
      full: { notifications: 1, autoReply: true, hooks: 1 },
    },
    owner: 'owner@s',
    clocksJumped: false,
    miscounted: [],
    stuck: [],
    badLines: [],
    ended: [],
  };
}

function drop<Item>(list: Item[], index: number): void {
  list.splice(index, 1);
}

function change<Item>(list: Item[], index: number, how: { [Key in keyof Item]?: Item[Key] | undefined }): void {
  list[index] = { ...(list[index] as Item), ...how } as Item;
}

function again<Item>(list: Item[], index: number, how: Partial<Item> = {}): void {
  list.push({ ...(list[index] as Item), ...how });
}

describe('the oracle', () => {
  it('finds nothing wrong in a world where nothing is wrong', () => {
    expect(judge(goodFacts())).to.deep.equal({
      ...{ acknowledged: 2, lost: 0, duplicated: 0, givenUp: 0, uncertain: 0, violations: [] },
    });
  });

  it('counts a second copy with an uncertain attempt on record, which is no violation', () => {
    const facts = goodFacts();
    again(facts.mails, 1);
    change(facts.emails, 1, { uncertain: 1 });
    again(facts.calls, 0);
    change(facts.deliveries, 0, { uncertain: 1 });
    expect(judge(facts)).to.deep.include({ duplicated: 2, uncertain: 2, violations: [] });
  });

  const allowed: Record<string, (facts: Changeable) => void> = {
    'a post that got no answer is stored': (it) => {
      it.messages.push({ id: 'm3', form: 'plain', email: 'ada@k3.test', message: 'The post k3.' });
      it.emails.push(notification('e3', 'm3'));
      it.mails.push(mail('e3', 'owner@s', 'k3'));
    },
    'a 201 whose body was cut': (it) => change(it.visits, 1, { id: undefined, isCut: true }),
    'an auto-reply whose outcome nobody knows, and which is not sent again': (it) => {
      change(it.emails, 2, { state: 'failed', failure: 'outcome-unknown', uncertain: 1, accepted: 0 });
      drop(it.mails, 2);
    },
    'an auto-reply that is too late since clocks jumped': (it) => {
      it.clocksJumped = true;
      change(it.emails, 2, { state: 'cancelled', failure: 'too-late', accepted: 0 });
      drop(it.mails, 2);
    },
    'a repeat without an answer': (it) => change(it.visits, 7, { answer: 'none', id: undefined }),
    'a 409 while the first try is not over': (it) => change(it.visits, 3, { answer: 409 }),
    'a test delivery of a hook': (it) => {
      it.deliveries.push({ id: 'd0', messageId: null, state: 'sent', uncertain: 0, accepted: 1 });
      it.calls.push({ at, id: 'd0', hash: 'hash of d0' });
    },
  };
  for (const [what, make] of Object.entries(allowed)) {
    it(`allows: ${what}`, () => {
      const facts = goodFacts();
      make(facts);
      expect(judge(facts).violations).to.deep.equal([]);
    });
  }

  const wrong: Record<string, [(facts: Changeable) => void, ...Invariant[]]> = {
    'a lost post': [(it) => forget(it, 'm1'), 'no loss'],
    'a lost post whose answer was cut': [
      (it) => {
        change(it.visits, 1, { id: undefined, isCut: true });
        forget(it, 'm1');
      },
      'no loss',
    ],
    'a post that is stored under another id': [(it) => change(it.visits, 1, { id: 'm9' }), 'no loss'],
    'a 201 without an id': [(it) => change(it.visits, 1, { id: undefined }), 'no loss'],
    'a post stored twice': [
      (it) => {
        again(it.messages, 0, { id: 'm4' });
        it.emails.push(notification('e4', 'm4'));
        it.mails.push(mail('e4', 'owner@s', 'k1'));
      },
      'no loss',
    ],
    'an unanswered post stored twice': [
      (it) => {
        for (const id of ['m3', 'm4']) {
          it.messages.push({ id, form: 'plain', email: 'ada@k3.test', message: 'The post k3.' });
          it.emails.push(notification(`of ${id}`, id));
          it.mails.push(mail(`of ${id}`, 'owner@s', 'k3'));
        }
      },
      'no ghost',
    ],
    'nothing acknowledged at all': [
      (it) => {
        it.visits = [sent('k3', 'plain'), { at, key: 'k3', answer: 'none' }];
        for (const list of [it.messages, it.emails, it.deliveries, it.mails, it.calls]) list.length = 0;
      },
      'no loss',
    ],
    'a row that nobody posted': [
      (it) => {
        it.messages.push({ id: 'm9', form: 'plain', email: 'ada@k9.test', message: 'The post k9.' });
        it.emails.push(notification('e9', 'm9'));
        it.mails.push(mail('e9', 'owner@s', 'k9'));
      },
      'no ghost',
    ],
    'a row of a refused post': [
      (it) => {
        it.visits.push(sent('k5', 'plain'), { at, key: 'k5', answer: 400 });
        it.messages.push({ id: 'm5', form: 'plain', email: 'ada@k5.test', message: 'The post k5.' });
        it.emails.push(notification('e5', 'm5'));
        it.mails.push(mail('e5', 'owner@s', 'k5'));
      },
      'no ghost',
      'no refusal',
    ],
    'a good post refused': [(it) => it.visits.push(sent('k5', 'plain'), { at, key: 'k5', answer: 429 }), 'no refusal'],
    'a mail of no email': [(it) => it.mails.push(mail('e9', 'owner@s', 'k1')), 'no ghost'],
    'a hook call of no delivery': [(it) => it.calls.push({ at, id: 'd9', hash: '' }), 'no ghost'],
    'a repeat that got another id': [(it) => change(it.visits, 7, { id: 'm9' }), 'same answer again'],
    'a repeat that was refused': [(it) => change(it.visits, 7, { answer: 422, id: undefined }), 'same answer again'],
    'another post under the same key that was taken': [
      (it) => change(it.visits, 9, { answer: 201, id: 'm1' }),
      'same answer again',
    ],
    'another post under the same key that is stored': [
      (it) => {
        it.messages.push({ id: 'm9', form: 'plain', email: 'ada@k1.test', message: 'Not the post k1.' });
        it.emails.push(notification('e9', 'm9'));
        it.mails.push(mail('e9', 'owner@s', 'k1'));
      },
      'no ghost',
      'right content',
    ],
    'a message without its notification': [
      (it) => {
        drop(it.emails, 0);
        drop(it.mails, 0);
      },
      'all or nothing',
    ],
    'a message without its auto-reply': [
      (it) => {
        drop(it.emails, 2);
        drop(it.mails, 2);
      },
      'all or nothing',
    ],
    'a message without its hook delivery': [
      (it) => {
        drop(it.deliveries, 0);
        drop(it.calls, 0);
      },
      'all or nothing',
    ],
    'a message with two notifications': [
      (it) => {
        it.emails.push(notification('e9', 'm1'));
        it.mails.push(mail('e9', 'owner@s', 'k1'));
      },
      'all or nothing',
    ],
    'an email never sent': [
      (it) => {
        change(it.emails, 0, { state: 'queued', accepted: 0 });
        drop(it.mails, 0);
      },
      'at least once',
    ],
    'a hook delivery never sent': [
      (it) => {
        change(it.deliveries, 0, { state: 'failed', accepted: 0 });
        drop(it.calls, 0);
      },
      'at least once',
    ],
    'an email that is sent, and was not taken': [(it) => drop(it.mails, 0), 'at least once'],
    'an email that is sent, and no attempt says so': [(it) => change(it.emails, 0, { accepted: 0 }), 'at least once'],
    'an attempt on record that never was': [(it) => change(it.emails, 0, { accepted: 2 }), 'at least once'],
    'a hook delivery that is sent, and was not taken': [(it) => drop(it.calls, 0), 'at least once'],
    'an auto-reply cancelled as too late while clocks were right': [
      (it) => {
        change(it.emails, 2, { state: 'cancelled', failure: 'too-late', accepted: 0 });
        drop(it.mails, 2);
      },
      'at least once',
    ],
    'an auto-reply given up without an uncertain attempt': [
      (it) => {
        change(it.emails, 2, { state: 'failed', failure: 'outcome-unknown', accepted: 0 });
        drop(it.mails, 2);
      },
      'at least once',
    ],
    'a second copy without an uncertain attempt': [(it) => again(it.mails, 0), 'duplicates on record'],
    'a second call without an uncertain attempt': [(it) => again(it.calls, 0), 'duplicates on record'],
    'an auto-reply twice': [
      (it) => {
        again(it.mails, 2);
        change(it.emails, 2, { uncertain: 1 });
      },
      'at most once',
    ],
    'two copies that differ': [
      (it) => {
        again(it.mails, 0, { hash: 'other' });
        change(it.emails, 0, { uncertain: 1 });
      },
      'same mail again',
    ],
    'two calls that differ': [
      (it) => {
        again(it.calls, 0, { hash: 'other' });
        change(it.deliveries, 0, { uncertain: 1 });
      },
      'same mail again',
    ],
    'a post stored under the wrong form': [
      (it) => {
        change(it.messages, 1, { form: 'other' });
        it.forms = { ...it.forms, other: { notifications: 1, autoReply: true, hooks: 1 } };
      },
      'right content',
    ],
    'a post stored with the address of another': [
      (it) => change(it.messages, 0, { email: 'ada@k2.test' }),
      'right content',
    ],
    'a notification that went to a visitor': [(it) => change(it.mails, 0, { to: ['ada@k1.test'] }), 'right content'],
    'an auto-reply to another visitor': [(it) => change(it.mails, 2, { to: ['ada@k1.test'] }), 'right content'],
    'a mail to two': [(it) => change(it.mails, 0, { to: ['owner@s', 'ada@k1.test'] }), 'right content'],
    'a mail about another message': [(it) => change(it.mails, 0, { about: 'k2' }), 'right content'],
    'a mail that also names another message': [(it) => change(it.mails, 0, { about: 'k1,k2' }), 'right content'],
    'a hook call about another message': [(it) => change(it.calls, 0, { messageId: 'm1' }), 'right content'],
    'a mail that waits for ever': [(it) => it.stuck.push('e1'), 'at least once'],
    'a sender with a wrong count': [(it) => it.miscounted.push('s1'), 'right content'],
    'a process that ended': [(it) => it.ended.push('serve ended by itself: 1'), 'no crash'],
    'a line that says too much': [(it) => it.badLines.push('a line'), 'silence'],
  };
  for (const [what, [break_, ...invariants]] of Object.entries(wrong)) {
    it(`catches: ${what}`, () => {
      const facts = goodFacts();
      break_(facts);
      const { violations, lost } = judge(facts);
      expect([...new Set(violations.map((it) => it.invariant))]).to.deep.equal(invariants);
      if (what.startsWith('a lost post')) expect(lost).to.equal(1);
    });
  }

  it('finds in a log the canary and errors that nobody caught, and nothing else', () => {
    const bad = ['{"msg":"Ada canary7"}', '[unhandledRejection] x', 'uncaughtException', 'MaxListenersExceededWarning'];
    expect(badLinesIn(['{"msg":"accepted"}', ...bad, 'canary8', ''].join('\n'), 'canary7')).to.deep.equal(bad);
  });
});

/** A message with everything that it brought about. */
function forget(facts: Changeable, id: string): void {
  const headers = new Set(facts.emails.filter((it) => it.messageId === id).map((it) => it.header));
  facts.messages = facts.messages.filter((it) => it.id !== id);
  facts.emails = facts.emails.filter((it) => it.messageId !== id);
  facts.mails = facts.mails.filter((it) => !headers.has(it.messageId));
}

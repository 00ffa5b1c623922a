import { expect } from 'chai';
import { judgeAnswers } from './full/judges/answers.ts';
import type { VisitLine } from './full/ledgers/load.ts';

describe('the judge of answers', () => {
  /** One post that is tried once, after the server has taken another. */
  const judged = (answer: VisitLine['answer'], tookMs: number) =>
    judgeAnswers([
      { at: 0, key: 'a', answer: 'sent' },
      { at: 10, key: 'a', answer: 201 },
      { at: 100, key: 'b', answer: 'sent' },
      { at: 100 + tookMs, key: 'b', answer },
    ]);

  for (const [answer, tookMs, isHonest] of [
    [201, 4000, true],
    [422, 10, true],
    [503, 4990, true],
    [503, 5300, false],
    [201, 5300, false],
    [500, 10, false],
    ['none', 10, false],
  ] as const) {
    it(`${isHonest ? 'accepts' : 'finds'} ${answer} after ${tookMs} ms`, () => {
      const { violations, slowestMs, statuses } = judged(answer, tookMs);
      expect(violations.map((it) => it.invariant)).to.deep.equal(isHonest ? [] : ['honest answers']);
      expect(slowestMs).to.equal(tookMs);
      expect(statuses.get(answer)).to.equal(1);
    });
  }

  it('expects nothing of a server that has not begun', () => {
    const early: VisitLine[] = [
      { at: 0, key: 'a', answer: 'sent' },
      { at: 9, key: 'a', answer: 'none' },
      { at: 500, key: 'a', answer: 'sent' },
      { at: 510, key: 'a', answer: 201 },
    ];
    expect(judgeAnswers(early).violations).to.deep.equal([]);
  });
});

import { expect } from 'chai';
import { MachinePostgres } from '../support/machine-postgres.ts';
import { describeWith } from '../support/machine-programs.ts';
import { chaosSeed } from '../support/random.ts';
import { faults } from './full/faults/index.ts';

/** A few seconds of each; `npm run test:chaos -- --full` has the other faults, and hundreds of each. */
const inShort = ['killed-server', 'killed-worker', 'lost-commit'];

describeWith(['pg_ctl'], 'an installation under load', () => {
  const seed = chaosSeed();
  let postgres: MachinePostgres;

  before(async () => {
    console.log(`    CHAOS_SEED=${seed}`);
    postgres = await MachinePostgres.open('');
  });
  after(() => postgres[Symbol.asyncDispose]());

  for (const { id, title, run } of faults.filter((it) => inShort.includes(it.id))) {
    it(`keeps every promise: ${id}`, async () => {
      const { violations, acknowledged } = await run({ postgres, seed, isShort: true });
      expect(violations, title).to.deep.equal([]);
      expect(acknowledged).to.be.above(0);
    });
  }
});

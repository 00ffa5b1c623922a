import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { areas } from '../mutation/areas.ts';
import { readEquivalents } from '../mutation/results.ts';

describe('mutants', () => {
  it('listed as equivalent are of lines that exist', () => {
    for (const [file, entries] of Object.entries(readEquivalents())) {
      const lines = new Set(
        readFileSync(file, 'utf8')
          .split('\n')
          .map((it) => it.trim()),
      );
      for (const { line, why } of entries) {
        expect(lines, file).to.include(line);
        expect(why, line).to.not.equal('');
      }
    }
  });

  it('are noticed, four of five at least, and few are equivalent', () => {
    const text = readFileSync('docs/reference/mutation.md', 'utf8');
    const rows = [...text.matchAll(/^\| (\w+) \| (\d.*) \|$/gm)];
    expect(rows.map(([, area]) => area)).to.have.members(Object.keys(areas));
    for (const [row, , cells = ''] of rows) {
      const [mutants = 0, killed = 0, timedOut = 0, equivalent = 0, survived = 0] = cells.split(' | ').map(Number);
      expect((killed + timedOut) / mutants, row).to.be.at.least(0.8);
      expect(equivalent / mutants, row).to.be.at.most(0.05);
      expect(survived, row).to.equal(0);
    }
  });
});

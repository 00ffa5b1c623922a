import { expect } from 'chai';
import { OptionError, readOptions } from './full/options.ts';

describe('the options of the full run', () => {
  const read = (line: string) => readOptions(line.split(' '), ['one', 'two']);

  it('are a seed, some faults and the short form, in any order', () => {
    expect(read('--seed 7 --full --only two,one --short')).to.deep.equal({
      seed: 7,
      only: ['two', 'one'],
      isShort: true,
    });
    expect(read('--full')).to.deep.include({ only: undefined, isShort: false });
  });

  for (const [line, says] of [
    ['--seed 7', 'belong to --full'],
    ['--full --seed x', '--seed is a whole number, not x'],
    ['--full --seed 1.5', '--seed is a whole number, not 1.5'],
    ['--full --only one,tow', '--only does not know "tow". It knows one, two'],
    ['--full --only=', '--only does not know "". It knows one, two'],
    ['--full --sed 7', "Unknown option '--sed'"],
    ['--full 7', 'Unexpected argument'],
  ] as const) {
    it(`refuse ${line}`, () => {
      expect(() => read(line)).to.throw(OptionError, says);
    });
  }
});

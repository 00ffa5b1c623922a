import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { expect } from 'chai';

describe('npm scripts', () => {
  it('run every test file once', () => {
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
    const commands = Object.entries(scripts).filter(([name]) => /^test(:|$)/.test(name));
    const patterns = commands.flatMap(([, command]) =>
      [...command.matchAll(/'(test\/[^']+)'/g)].map((it) => it[1] ?? ''),
    );
    // Mocha takes a pattern whose only magic is braces for a file's name.
    const found = patterns.flatMap((it) => (/[*?(]/.test(it) ? globSync(it) : existsSync(it) ? [it] : []));
    const all = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((it) => it.endsWith('.test.ts'));
    expect(found.sort()).to.deep.equal(all.map((it) => `test/${it}`).sort());
  });
});
